/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stand-in libnvidia-ml.so.1. With expandable segments PyTorch asks it, before it maps memory, whether a fabric
 * joins the devices. It can do without an answer, but not without the library and these names.
 */
#define NOT_SUPPORTED(name) \
    int name(void)          \
    {                       \
        return 3;           \
    }
NOT_SUPPORTED(nvmlDeviceGetComputeRunningProcesses)
NOT_SUPPORTED(nvmlDeviceGetNvLinkRemoteDeviceType)
NOT_SUPPORTED(nvmlDeviceGetNvLinkRemotePciInfo_v2)
NOT_SUPPORTED(nvmlSystemGetCudaDriverVersion_v2)

int nvmlInit_v2(void)
{
    return 0;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *id, void **ret_device)
{
    static char device;
    (void)id;
    *ret_device = &device;
    return 0;
}
