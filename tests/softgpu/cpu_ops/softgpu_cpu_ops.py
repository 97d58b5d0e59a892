# SPDX-License-Identifier: Apache-2.0
"""Computes PyTorch's CUDA operators on the CPU, so that whole models run on the software device.

Device memory is host memory. Each operator that has a CUDA kernel gets another one, which waits for the device, makes
CPU tensors that share the storages of its CUDA arguments, calls the CPU kernel and puts new results into new CUDA
tensors. It is registered at the CUDA dispatch key, below autograd, autocast and every mode, so it serves every thread,
the autograd engine's too, and every caller, PyTorch's own C++ code too. Operators in NATIVE have their own kernels and
launch them: layer norm and RMS norm, and what only allocates, views or reads one value. An operator without a CPU
kernel raises NotImplementedError with its name. Random operators use a CPU generator seeded by the CUDA generator's
seed and offset, and advance that offset; so seeds and saved states repeat the numbers, but not those of a GPU.
"""
import contextlib
import ctypes
import warnings

NATIVE = {
    "native_layer_norm", "native_layer_norm_backward", "_fused_rms_norm", "_fused_rms_norm_backward",
    "empty.memory_format", "empty_strided", "resize_", "set_", "set_.source_Storage", "set_.source_Tensor",
    "set_.source_Storage_storage_offset", "_local_scalar_dense", "record_stream", "is_pinned", "_pin_memory",
    "_transformer_encoder_layer_fwd", "_native_multi_head_attention",
}  # fmt: skip
# Composite on CUDA too, but they choose cuDNN, or launch kernels without the dispatcher.
ALSO = ["convolution", "convolution_backward", "copy_"]


def install(torch):
    # So that no kernel without a CPU counterpart is chosen.
    torch._C._set_cudnn_enabled(False)
    for backend in ("flash", "mem_efficient", "cudnn"):
        getattr(torch._C, f"_set_sdp_use_{backend}", no)(False)  # not all in old releases
    library = torch.library.Library("aten", "IMPL")
    names = [n[6:] for n in torch._C._dispatch_get_registrations_for_dispatch_key("CUDA") if n.startswith("aten::")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # to replace kernels is the point
        for name in dict.fromkeys(names + ALSO):
            if name in NATIVE:
                continue
            packet, _, overload = name.partition(".")
            schema = torch._C._get_schema("aten::" + packet, overload)
            if not any(r.alias_info and not r.alias_info.is_write for r in schema.returns):  # no view
                library.impl(name, Operator(torch, packet, overload, schema), "CUDA")
    install.library = library  # its kernels live as long as it does


class Operator:
    """One operator's kernel at the CUDA key."""

    def __init__(self, torch, packet, overload, schema):
        self.__name__ = packet
        self.torch = torch
        self.name = f"aten::{packet}.{overload}" if overload else f"aten::{packet}"
        self.packet, self.overload = packet, overload or "default"
        self.op = None
        self.special = SPECIAL.get(packet)
        self.outs = {a.name for a in schema.arguments if a.kwarg_only and a.alias_info and a.alias_info.is_write}
        positions = {a.name: i for i, a in enumerate(schema.arguments)}
        written = [(a.alias_info.before_set, a.name) for a in schema.arguments if a.alias_info]
        self.returns = []  # for each result: (position, name) of the argument that it is, or None for a new tensor
        for result in schema.returns:
            name = next((n for s, n in written if result.alias_info and s == result.alias_info.before_set), None)
            self.returns.append(None if name is None else (positions[name], name))
        self.tensors = [i for i, a in enumerate(schema.arguments) if a.type.kind() == "TensorType"]
        self.has_generator = any(a.name == "generator" for a in schema.arguments)

    def resolve(self):
        self.op = getattr(getattr(self.torch.ops.aten, self.packet), self.overload)
        self.random = self.torch.Tag.nondeterministic_seeded in self.op.tags

    def __call__(self, *args, **kwargs):
        torch = self.torch
        if self.op is None:
            self.resolve()
        if torch.cuda.is_current_stream_capturing():
            raise NotImplementedError(f"softgpu --cpu-ops cannot record {self.name} into a CUDA graph")
        try:
            with below_autograd(torch):
                return self.run(Host(torch), args, kwargs)
        except NotImplementedError as error:
            raise NotImplementedError(f"softgpu --cpu-ops cannot compute {self.name} on the CPU: {error}") from error

    def run(self, host, args, kwargs):
        host_args = [host.value(a) for a in args]
        host_kwargs = {k: host.out(v) if k in self.outs else host.value(v) for k, v in kwargs.items()}
        host.find_device()
        self.torch._C._cuda_synchronize()
        result = self.compute(host, host_args, host_kwargs)
        for device_out, host_out in host.outs:
            device_out.resize_(host_out.shape)
            host.tensor(device_out).copy_(host_out)
        if len(self.returns) == 1:
            return self.wrap(host, self.returns[0], result, args, kwargs)
        if self.returns:
            return tuple(self.wrap(host, s, r, args, kwargs) for s, r in zip(self.returns, result))
        return None

    def compute(self, host, args, kwargs):
        if not self.random:
            op = self.op
            if any(i < len(args) and isinstance(args[i], (int, float, complex)) for i in self.tensors):
                op = getattr(self.torch.ops.aten, self.packet)  # C++ wrapped a number: the overload for numbers
            return self.special(op, *args, **kwargs) if self.special else op(*args, **kwargs)
        generator = host.seeded()
        if self.has_generator:
            return self.op(*args, **{**kwargs, "generator": generator})
        with self.torch.random.fork_rng(devices=[]):
            self.torch.random.default_generator.set_state(generator.get_state())
            return self.op(*args, **kwargs)

    @staticmethod
    def wrap(host, source, result, args, kwargs):
        if source is None:
            return host.back(result)
        position, name = source
        return args[position] if position < len(args) else kwargs[name]


@contextlib.contextmanager
def below_autograd(torch):
    """Without autograd, autocast and modes. A guard of PyTorch 2.0 or older lasts as long as its object."""
    with contextlib.ExitStack() as stack:
        objects = []
        for guard in (torch._C.DisableTorchFunction, torch._C._AutoDispatchBelowAutograd, torch._C._DisableAutocast):
            if hasattr(guard, "__enter__"):
                stack.enter_context(guard())
            else:
                objects.append(guard())
                stack.callback(objects.pop)
        yield


class Host:
    """The arguments of one call, as CPU tensors over the same memory."""

    def __init__(self, torch):
        self.torch = torch
        self.storages = {}
        self.device = None
        self.generator = None
        self.outs = []

    def find_device(self):
        if self.device is None or self.device.index is None:
            self.device = self.torch.device("cuda", self.torch.cuda.current_device())

    def value(self, value):
        torch = self.torch
        if isinstance(value, torch.Tensor):
            return self.tensor(value)
        if isinstance(value, (list, tuple)):
            return [self.value(v) for v in value]
        if isinstance(value, torch.device) and value.type == "cuda":
            self.device = self.device or value
            return torch.device("cpu")
        if isinstance(value, torch.Generator):
            self.generator = value
            return None
        return value

    def tensor(self, tensor):
        torch = self.torch
        if not tensor.is_cuda:
            return tensor.detach() if tensor.requires_grad else tensor
        self.device = self.device or tensor.device
        if tensor.layout is not torch.strided:
            raise NotImplementedError(f"a tensor of layout {tensor.layout}")
        storage = tensor.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        if not address or not size:
            return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")
        memory = self.storages.get(address)
        if memory is None:
            raw = (ctypes.c_char * size).from_address(address)
            memory = torch.frombuffer(raw, dtype=torch.uint8).untyped_storage()
            self.storages[address] = memory
        view = torch.empty(0, dtype=tensor.dtype, device="cpu")
        view.set_(memory, tensor.storage_offset(), tensor.shape, tensor.stride())
        view = torch._conj(view) if tensor.is_conj() else view
        return torch._neg_view(view) if tensor.is_neg() else view

    def out(self, value):
        """An out= argument. The operator may resize an empty one, which shared memory does not allow."""
        if not isinstance(value, self.torch.Tensor) or not value.is_cuda or value.numel():
            return self.value(value)
        self.device = self.device or value.device
        fresh = self.torch.empty(0, dtype=value.dtype, device="cpu")
        self.outs.append((value, fresh))
        return fresh

    def back(self, result):
        """A new result, moved to device memory."""
        torch = self.torch
        if isinstance(result, (list, tuple)):
            return [self.back(r) for r in result]
        if not isinstance(result, torch.Tensor):
            return result
        if result.layout is not torch.strided:
            raise NotImplementedError(f"a result of layout {result.layout}")
        result = result.resolve_conj().resolve_neg()
        if 0 in result.stride():  # expanded: a copy with these strides would overlap itself
            result = result.contiguous()
        moved = torch.empty_strided(result.shape, result.stride(), dtype=result.dtype, device=self.device)
        if result.numel():
            Host(torch).tensor(moved).copy_(result)
        return moved

    def seeded(self):
        torch = self.torch
        generator = self.generator or torch.cuda.default_generators[self.device.index]
        offset = generator.get_offset()
        generator.set_offset(offset + 4)
        seed = (generator.initial_seed() * 0x9E3779B97F4A7C15 + offset * 0xD1B54A32D192ED03) & (2**63 - 1)
        return torch.Generator(device="cpu").manual_seed(seed)


def softmax(op, tensor, dim, half_to_float, **out):
    """CUDA's softmax can also convert to float; the CPU's cannot."""
    return op(tensor.float() if half_to_float else tensor, dim, False, **out)


def no(*_args, **_kwargs):
    return False


SPECIAL = {"_softmax": softmax, "_log_softmax": softmax, "_use_cudnn_ctc_loss": no, "_use_miopen_ctc_loss": no}
