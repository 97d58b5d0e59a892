/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels whose counts are known by construction, for test_sass.py. The compiler neither merges, drops nor
 * reorders volatile assembly: as many ex2, loads and copies are issued as are written. */
struct parameters {
    const uint4 *from;
    uint4 *to;
    const float *maybe;
    long long rows;
    int trips;
};

static __device__ __forceinline__ float ex2(float x)
{
    float y;
    asm volatile("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
static __device__ __forceinline__ uint4 load(const uint4 *from)
{
    uint4 v;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(from));
    return v;
}
static __device__ __forceinline__ void store(uint4 *to, uint4 v)
{
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w));
}

/* COUNT ex2 in a row, then one store of 4 bytes. */
template <int COUNT>
static __device__ __forceinline__ void straight(const parameters &p)
{
    float x = p.trips;
#pragma unroll
    for (int i = 0; i < COUNT; i++)
        x = ex2(x);
    *reinterpret_cast<float *>(p.to) = x;
}
extern "C" __global__ void straight5(const parameters p)
{
    straight<5>(p);
}
extern "C" __global__ void straight25(const parameters p)
{
    straight<25>(p);
}

/* Two ex2 for each of `trips` trips; around it a loop over rows, by blocks. */
extern "C" __global__ void loops(const parameters p)
{
    float x = p.rows;
    for (long long row = blockIdx.x; row < p.rows; row += gridDim.x) {
#pragma unroll 1
        for (int i = 0; i < p.trips; i++)
            x = ex2(ex2(x));
    }
    *reinterpret_cast<float *>(p.to) = x;
}

/* BATCHES times: COUNT loads of 16 bytes in flight together, then used. */
template <int COUNT, int BATCHES>
static __device__ __forceinline__ void batches(const parameters &p)
{
    uint4 sum = make_uint4(0, 0, 0, 0);
    const uint4 *from = p.from + threadIdx.x;
#pragma unroll
    for (int b = 0; b < BATCHES; b++) {
        uint4 v[COUNT];
#pragma unroll
        for (int i = 0; i < COUNT; i++)
            v[i] = load(from + i * 1024);
        float used = 0;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            sum.x += v[i].x, sum.y += v[i].y, sum.z += v[i].z, sum.w += v[i].w;
            used = ex2(used + __uint_as_float(v[i].x));
        }
        from += __float_as_uint(used); /* the next batch's address depends on this one */
    }
    store(p.to + threadIdx.x, sum);
}
extern "C" __global__ void batch4(const parameters p)
{
    batches<4, 1>(p);
}
extern "C" __global__ void batch3x2(const parameters p)
{
    batches<3, 2>(p);
}

/* A division, whose slow path is a called function; a pointer that may be NULL; one warp in four that does more. */
extern "C" __global__ void division(const parameters p)
{
    const float *from = reinterpret_cast<const float *>(p.from);
    *reinterpret_cast<float *>(p.to) = from[0] / from[threadIdx.x];
}
extern "C" __global__ void chosen(const parameters p)
{
    float x = p.rows;
    const int trips = p.rows > 5 ? p.trips : p.trips + 3;
#pragma unroll 1
    for (int i = 0; i < trips; i++)
        x = ex2(x);
    *reinterpret_cast<float *>(p.to) = x;
}
extern "C" __global__ void optional(const parameters p)
{
    float x = p.trips;
    if (p.maybe)
        x = ex2(ex2(ex2(p.maybe[threadIdx.x])));
    *reinterpret_cast<float *>(p.to) = x;
}
extern "C" __global__ void leader(const parameters p)
{
    float x = p.trips;
    if (threadIdx.x < 32) {
#pragma unroll 1
        for (int i = 0; i < 4; i++)
            x = ex2(x);
    }
    *reinterpret_cast<float *>(p.to) = x;
}
/* An array whose index is only known at run time lies in local memory. */
extern "C" __global__ void local(const parameters p)
{
    float values[64];
#pragma unroll 1
    for (int i = 0; i < 64; i++)
        values[i * p.trips & 63] = ex2(i);
    *reinterpret_cast<float *>(p.to) = values[p.rows & 63];
}

#if __CUDA_ARCH__ >= 800
/* Two groups of 4 and of 2 copies; waits for the first, then for the second, while 5 more of a third are under way. */
extern "C" __global__ void copies(const parameters p)
{
    __shared__ uint4 slots[11 * 128];
    const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(slots)) + threadIdx.x * 16;
    auto copy = [&](int i) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + i * 2048),
                     "l"(p.from + i * 128 + threadIdx.x));
    };
    auto commit = [] { asm volatile("cp.async.commit_group;"); };
    for (int i = 0; i < 4; i++)
        copy(i);
    commit();
    for (int i = 4; i < 6; i++)
        copy(i);
    commit();
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    store(p.to + threadIdx.x, slots[threadIdx.x]);
    for (int i = 6; i < 11; i++)
        copy(i);
    commit();
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    store(p.to + 128 + threadIdx.x, slots[10 * 128 + threadIdx.x]);
}
#endif
