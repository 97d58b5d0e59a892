/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor's checks of the driver and the devices, and of the image that each device gets. libcuda is loaded in a
 * child process: it may crash, hang, or take over the process.
 */
#include "tools/fuseln/doctor.h"

#include "kernels/host/libcuda.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICES_MAX = 16, DRIVER_MIN = 12000, CHILD_SECONDS = 60 };
enum { ERROR_NO_DEVICE = 100, ERROR_STUB_LIBRARY = 34, ERROR_MISMATCH = 803, ERROR_COMPAT = 804 };

struct probe {
    bool missing;     /* there is no libcuda.so.1 */
    char error[1024]; /* why it does not load; "" it does */
    char step[32];    /* the call that it is in, or that failed */
    CUresult result;  /* of that call */
    char result_text[128];
    char path[PATH_MAX];
    int version, count;
    struct device {
        char name[128];
        int cc_major, cc_minor;
    } devices[DEVICES_MAX];
};

/* Calls NAME of libcuda, and remembers how far it came. */
#define CALL(probe, libcuda, name, parameters, arguments)      \
    (snprintf((probe)->step, sizeof(probe)->step, "%s", name), \
     (probe)->result =                                         \
         dlsym(libcuda, name) ? ((CUresult(*) parameters)dlsym(libcuda, name))arguments : CUDA_ERROR_NOT_SUPPORTED)

static void load_driver(struct probe *probe, void **ret_libcuda)
{
    Dl_info info;
    *ret_libcuda = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!*ret_libcuda) {
        snprintf(probe->error, sizeof probe->error, "%s", dlerror());
        probe->missing = strstr(probe->error, "libcuda.so.1: cannot open shared object file: No such file") != NULL;
        return;
    }
    void *function = dlsym(*ret_libcuda, "cuInit");
    char *real = function && dladdr(function, &info) ? realpath(info.dli_fname, NULL) : NULL;
    snprintf(probe->path, sizeof probe->path, "%s", real ? real : "libcuda.so.1");
}

static void probe_devices(struct probe *probe, void *libcuda)
{
    for (int i = 0; i < probe->count && i < DEVICES_MAX; i++) {
        struct device *device = &probe->devices[i];
        CUdevice handle;
        if (CALL(probe, libcuda, "cuDeviceGet", (CUdevice *, int), (&handle, i)) ||
            CALL(probe, libcuda, "cuDeviceGetName", (char *, int, CUdevice),
                 (device->name, (int)sizeof device->name, handle)) ||
            CALL(probe, libcuda, "cuDeviceGetAttribute", (int *, int, CUdevice),
                 (&device->cc_major, CU_ATTR_COMPUTE_CAPABILITY_MAJOR, handle)) ||
            CALL(probe, libcuda, "cuDeviceGetAttribute", (int *, int, CUdevice),
                 (&device->cc_minor, CU_ATTR_COMPUTE_CAPABILITY_MINOR, handle)))
            return;
    }
}

static void probe_driver(void *shared)
{
    struct probe *probe = shared;
    const char *text = NULL;
    void *libcuda;
    load_driver(probe, &libcuda);
    if (!libcuda)
        return;
    /* The version first: it needs no cuInit, and an old driver may fail there. */
    if (!CALL(probe, libcuda, "cuDriverGetVersion", (int *), (&probe->version)) &&
        !CALL(probe, libcuda, "cuInit", (unsigned), (0)) &&
        !CALL(probe, libcuda, "cuDeviceGetCount", (int *), (&probe->count)))
        probe_devices(probe, libcuda);
    CUresult (*describe)(CUresult, const char **) =
        (CUresult(*)(CUresult, const char **))dlsym(libcuda, "cuGetErrorString");
    if (probe->result && describe && describe(probe->result, &text) == CUDA_SUCCESS && text)
        snprintf(probe->result_text, sizeof probe->result_text, "%s", text);
}

static const char *remedy_of(CUresult result)
{
    static char text[512];
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    switch (result) {
    case ERROR_STUB_LIBRARY:
        return "take the toolkit's folder of stubs out of LD_LIBRARY_PATH";
    case ERROR_MISMATCH:
    case ERROR_COMPAT:
        return "libcuda and the kernel module are of different releases: restart after an update of the driver, or "
               "take "
               "a cuda-compat folder out of LD_LIBRARY_PATH";
    case CUDA_SUCCESS:
    case ERROR_NO_DEVICE:
        snprintf(text, sizeof text,
                 "does nvidia-smi list one? In a container start it with --gpus all "
                 "(NVIDIA_VISIBLE_DEVICES=all)%s%.200s",
                 visible ? "; CUDA_VISIBLE_DEVICES is set here: " : "", visible ? visible : "");
        return text;
    default:
        return "see whether nvidia-smi works, and whether any CUDA program does";
    }
}

/* False: nothing more can be said. */
static bool say_driver(struct doctor *doctor, const struct probe *probe, const char *end)
{
    if (probe->missing) {
        doctor_say(doctor, FINDING_BAD, "driver",
                   "install NVIDIA's driver, or in a container start it with --gpus all (NVIDIA_VISIBLE_DEVICES=all, "
                   "NVIDIA_DRIVER_CAPABILITIES with compute)",
                   "there is no driver library: libcuda.so.1 was not found");
        return false;
    }
    if (probe->error[0]) {
        doctor_say(doctor, FINDING_BAD, "driver", "install NVIDIA's driver anew, for this architecture",
                   "libcuda.so.1 does not load: %s", probe->error);
        return false;
    }
    if (probe->version && probe->version < DRIVER_MIN) {
        doctor_say(doctor, FINDING_BAD, "driver", "install driver 525 or newer (CUDA 12.0)",
                   "the driver is too old: it is of CUDA %d.%d (%s), fuseln needs 12.0", probe->version / 1000,
                   probe->version % 1000 / 10, probe->path);
        return false;
    }
    if (probe->version)
        doctor_say(doctor, FINDING_OK, "driver", NULL, "of CUDA %d.%d: %s", probe->version / 1000,
                   probe->version % 1000 / 10, probe->path);
    if (end) {
        doctor_say(doctor, FINDING_BAD, "driver", remedy_of(-1), "%s failed: %s",
                   probe->step[0] ? probe->step : "loading", end);
        return probe->count > 0;
    }
    if (probe->result && probe->result != ERROR_NO_DEVICE)
        doctor_say(doctor, FINDING_BAD, "driver", remedy_of(probe->result), "%s failed with error %d%s%s", probe->step,
                   probe->result, probe->result_text[0] ? ": " : "", probe->result_text);
    else if (probe->count == 0)
        doctor_say(doctor, FINDING_BAD, "device", remedy_of(probe->result), "the driver shows no device");
    return true;
}

/* "NVRTC 12.0.140" -> 12000, as cuDriverGetVersion counts; 0 unknown. */
static int release_of(const char *compiler)
{
    int major, minor;
    const char *number = strrchr(compiler, ' ');
    return number && sscanf(number, "%d.%d", &major, &minor) == 2 ? 1000 * major + 10 * minor : 0;
}

/* Machine code loads on the drivers of its compiler's major release, PTX on those of its release. */
static bool driver_takes(const struct doctor_image *image, int version)
{
    const int release = release_of(image->compiler);
    return version >= (image->ptx ? release : release / 1000 * 1000);
}

static void say_device(struct doctor *doctor, const struct probe *probe, int index)
{
    const struct device *device = &probe->devices[index];
    struct doctor_image image;
    char what[300], why[160];
    snprintf(what, sizeof what, "%d: %s, compute capability %d.%d", index, device->name, device->cc_major,
             device->cc_minor);
    if (!doctor_image_find(device->cc_major, device->cc_minor, &image)) {
        doctor_say(doctor, FINDING_BAD, "device", "use another device (CUDA_VISIBLE_DEVICES), or build fuseln for it",
                   "%s: no image of ours runs on it, the originals run", what);
        return;
    }
    if (image.ptx)
        snprintf(why, sizeof why, "PTX, which the driver compiles at the first use: there is no machine code for %d.x",
                 device->cc_major);
    else if (image.arch == 10 * device->cc_major + device->cc_minor)
        snprintf(why, sizeof why, "machine code for just this device");
    else
        snprintf(why, sizeof why, "the newest machine code for %d.x that is not above %d.%d", device->cc_major,
                 device->cc_major, device->cc_minor);
    const bool taken = driver_takes(&image, probe->version);
    doctor_say(doctor, taken ? FINDING_OK : FINDING_BAD, "device",
               taken ? NULL : "install a newer driver, or fuseln built by an older compiler",
               "%s: image %s by %s (%s)%s", what, image.name, image.compiler, why,
               taken ? "" : ", which this driver is too old for");
}

void doctor_check_driver(struct doctor *doctor)
{
    struct probe *probe = doctor_share(sizeof *probe);
    const char *end = doctor_apart(probe_driver, probe, CHILD_SECONDS);
    if (!say_driver(doctor, probe, end))
        return;
    for (int i = 0; i < probe->count && i < DEVICES_MAX && probe->devices[i].cc_major; i++)
        say_device(doctor, probe, i);
}
