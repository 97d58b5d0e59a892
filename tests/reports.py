# SPDX-License-Identifier: Apache-2.0
"""What the tests that run programs under fuseln share: an environment, and what every report must satisfy."""
import os


def environment(**variables):
    """This process's environment, with no setting of fuseln but these."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FUSELN_")} | variables


def check_sums(report):
    totals, sites = report["totals"], report["sites"]
    assert report["schema"] == 1
    assert totals["launches"] >= totals["recognised"] == totals["substituted"] + totals["passed_through"], totals
    assert totals["recognised"] == sum(site["launches"] for site in sites), totals
    assert totals["substituted"] == sum(site["substituted"] for site in sites), totals
    for site in sites:
        assert site["launches"] == site["substituted"] + sum(site["passed_through"].values()), site
        assert site["rows_min"] <= site["rows"] <= site["rows_max"], site
