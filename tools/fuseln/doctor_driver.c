/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor's checks of the driver and the devices, and of the image that each device gets. libcuda is loaded in a
 * child process: it may crash, hang, or take over the process.
 */
#include "tools/fuseln/doctor.h"

#include "kernels/host/image.h"
#include "kernels/host/libcuda.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICES_MAX = 16, DRIVER_MIN = 12000, CHILD_SECONDS = 60 };
enum { ERROR_NO_DEVICE = 100, ERROR_STUB_LIBRARY = 34, ERROR_MISMATCH = 803, ERROR_COMPAT = 804 };

/* kernels/host/image.c chooses from a table that points at the images. These stand in for their 16 MB, so that the
 * linker leaves those out: nothing here reads them. */
#define FUSELN_IMAGE(module, kind, arch, compiler) const unsigned char fuseln_image_##module##_##kind##_##arch[1];
#include "images.inc"
#undef FUSELN_IMAGE

/* What the child process has found out so far. It is in shared memory, so it outlives a crash of the child. */
struct probe {
    char error[1024]; /* why libcuda does not load; "" it does */
    char step[32];    /* the call that it is in, or that failed */
    CUresult result;  /* of that call */
    char result_text[128];
    char path[PATH_MAX];
    int version, count;
    struct {
        char name[128];
        struct fuseln_device device; /* only its compute capability */
    } devices[DEVICES_MAX];
};

/* Calls NAME of libcuda, and records which call it was and its result. */
#define CALL(probe, libcuda, name, parameters, arguments)      \
    (snprintf((probe)->step, sizeof(probe)->step, "%s", name), \
     (probe)->result =                                         \
         dlsym(libcuda, name) ? ((CUresult(*) parameters)dlsym(libcuda, name))arguments : CUDA_ERROR_NOT_SUPPORTED)

static void *load_driver(struct probe *probe)
{
    void *libcuda = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!libcuda) {
        snprintf(probe->error, sizeof probe->error, "%s", dlerror());
        return NULL;
    }
    char *path = doctor_file_loaded("libcuda.so.1");
    snprintf(probe->path, sizeof probe->path, "%s", path);
    free(path);
    return libcuda;
}

static void probe_devices(struct probe *probe, void *libcuda)
{
    for (int i = 0; i < probe->count && i < DEVICES_MAX; i++) {
        char *name = probe->devices[i].name;
        struct fuseln_device *device = &probe->devices[i].device;
        if (CALL(probe, libcuda, "cuDeviceGet", (CUdevice *, int), (&device->index, i)) ||
            CALL(probe, libcuda, "cuDeviceGetName", (char *, int, CUdevice),
                 (name, (int)sizeof probe->devices[i].name, device->index)) ||
            CALL(probe, libcuda, "cuDeviceGetAttribute", (int *, int, CUdevice),
                 (&device->cc_major, CU_ATTR_COMPUTE_CAPABILITY_MAJOR, device->index)) ||
            CALL(probe, libcuda, "cuDeviceGetAttribute", (int *, int, CUdevice),
                 (&device->cc_minor, CU_ATTR_COMPUTE_CAPABILITY_MINOR, device->index)))
            return;
    }
}

static void probe_driver(void *argument)
{
    struct probe *probe = argument;
    void *libcuda = load_driver(probe);
    const char *text = NULL;
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
    switch (result) {
    case ERROR_STUB_LIBRARY:
        return "take the toolkit's folder of stubs out of LD_LIBRARY_PATH";
    case ERROR_MISMATCH:
    case ERROR_COMPAT:
        return "libcuda and the kernel module are of different releases: restart after an update of the driver, or "
               "take a cuda-compat folder out of LD_LIBRARY_PATH";
    default:
        return "see whether nvidia-smi works, and whether any CUDA program does";
    }
}

static void say_no_device(void)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    char *remedy = fuseln_text("does nvidia-smi list one? In a container start it with --gpus all "
                               "(NVIDIA_VISIBLE_DEVICES=all)%s%s",
                               visible ? "; CUDA_VISIBLE_DEVICES is set here: " : "", visible ? visible : "");
    doctor_say(BAD, "device", remedy, "the driver shows no device");
    free(remedy);
}

/* failure is what became of the child process, or NULL. False: nothing can be said of devices. */
static bool say_driver(const struct probe *probe, const char *failure)
{
    const int major = probe->version / 1000, minor = probe->version % 1000 / 10;
    if (strstr(probe->error, "libcuda.so.1: cannot open shared object file: No such file"))
        doctor_say(BAD, "driver",
                   "install NVIDIA's driver, or in a container start it with --gpus all (NVIDIA_VISIBLE_DEVICES=all, "
                   "NVIDIA_DRIVER_CAPABILITIES with compute)",
                   "there is no driver library: libcuda.so.1 was not found");
    else if (*probe->error)
        doctor_say(BAD, "driver", "install NVIDIA's driver anew, for this architecture",
                   "libcuda.so.1 does not load: %s", probe->error);
    else if (probe->version && probe->version < DRIVER_MIN)
        doctor_say(BAD, "driver", "install driver 525 or newer (CUDA 12.0)",
                   "the driver is too old: it is of CUDA %d.%d (%s), fuseln needs 12.0", major, minor, probe->path);
    else if (probe->version)
        doctor_say(OK, "driver", NULL, "of CUDA %d.%d: %s", major, minor, probe->path);
    if (*probe->error || (probe->version && probe->version < DRIVER_MIN))
        return false;
    if (failure)
        doctor_say(BAD, "driver", remedy_of(0), "%s failed: it %s", *probe->step ? probe->step : "loading", failure);
    else if (probe->result && probe->result != ERROR_NO_DEVICE)
        doctor_say(BAD, "driver", remedy_of(probe->result), "%s failed with error %d%s%s", probe->step, probe->result,
                   *probe->result_text ? ": " : "", probe->result_text);
    else if (probe->count == 0)
        say_no_device();
    return true;
}

/* Machine code loads on the drivers of its compiler's major release, PTX on those of its release, which is the number
 * in "NVRTC 12.0.140". cuDriverGetVersion counts 12000 for 12.0. */
static bool driver_takes(const struct fuseln_image *image, int version)
{
    int major, minor;
    const char *number = strrchr(image->compiler, ' ');
    if (!number || sscanf(number, "%d.%d", &major, &minor) != 2)
        return true;
    return version >= 1000 * major + (image->ptx ? 10 * minor : 0);
}

/* Every module has the same list of images; machine code comes before PTX (kernels/host/launch.c). */
static const struct fuseln_image *image_for(const struct fuseln_device *device)
{
    const enum fuseln_module any = 0;
    const struct fuseln_image *image = fuseln_image_find(any, device, false);
    return image ? image : fuseln_image_find(any, device, true);
}

static void say_device(const struct probe *probe, int index)
{
    const struct fuseln_device *device = &probe->devices[index].device;
    const struct fuseln_image *image = image_for(device);
    const int major = device->cc_major, minor = device->cc_minor;
    char what[300], why[160];
    snprintf(what, sizeof what, "%d: %s, compute capability %d.%d", index, probe->devices[index].name, major, minor);
    if (!image) {
        doctor_say(BAD, "device", "use another device (CUDA_VISIBLE_DEVICES), or build fuseln for it",
                   "%s: no image of ours runs on it, the originals run", what);
        return;
    }
    if (image->ptx)
        snprintf(why, sizeof why, "PTX, which the driver compiles at the first use: there is no machine code for %d.x",
                 major);
    else if (image->arch == 10 * major + minor)
        snprintf(why, sizeof why, "machine code for just this device");
    else
        snprintf(why, sizeof why, "the newest machine code for %d.x that is not above %d.%d", major, major, minor);
    const bool taken = driver_takes(image, probe->version);
    doctor_say(taken ? OK : BAD, "device",
               taken ? NULL : "install a newer driver, or fuseln built by an older compiler",
               "%s: image %s by %s (%s)%s", what, image->name, image->compiler, why,
               taken ? "" : ", which this driver is too old for");
}

void doctor_check_driver(void)
{
    struct probe *probe = doctor_share(sizeof *probe);
    const char *failure = doctor_try(probe_driver, probe, CHILD_SECONDS);
    if (say_driver(probe, failure))
        for (int i = 0; i < probe->count && i < DEVICES_MAX && probe->devices[i].device.cc_major; i++)
            say_device(probe, i);
}
