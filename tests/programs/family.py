# SPDX-License-Identifier: Apache-2.0
"""family.py METHOD: a process and the children that it starts by this method of multiprocessing: workers of a data
loader, which compute on the CPU, and some that launch layer norms and end in different ways. Each prints "PID LAUNCHES
END" when it has launched all; at last the exit codes of the children."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.multiprocessing as multiprocessing


def launch(times):
    x = torch.ones(8, 64).cuda()
    for _ in range(times):
        torch.nn.functional.layer_norm(x, (64,))


def say(launches, end):
    os.write(1, f"{os.getpid()} {launches} {end}\n".encode())  # at once: print may write the end of the line by itself


def leave(context):
    launch(2)
    say(2, "left")
    os._exit(7)


def be_killed(context):
    launch(3)
    say(3, "killed")
    os.kill(os.getpid(), signal.SIGKILL)


def use_a_pool_of_threads(context):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(launch, [4] * 8))
    say(32, "returned")


def be_a_parent(context):
    child = context.Process(target=use_a_pool_of_threads, args=(context,))
    child.start()
    launch(5)
    child.join()
    say(5, "returned")


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.nn.functional.layer_norm(torch.arange(64.0) + index, (64,))


def main():
    context = multiprocessing.get_context(sys.argv[1])
    multiprocessing.set_forkserver_preload(["torch"])
    children = [context.Process(target=target, args=(context,)) for target in (leave, be_killed, be_a_parent)]
    for child in children:
        child.start()
    for rows in torch.utils.data.DataLoader(Rows(), batch_size=2, num_workers=2, multiprocessing_context=context):
        assert rows.shape == (2, 64)
    for child in children:
        child.join()
    launch(6)
    say(6, "returned")
    print(*(child.exitcode for child in children))


if __name__ == "__main__":
    main()
