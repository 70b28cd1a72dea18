// CUDA C on the CPU: the words of the language, the built-in variables and functions, and a launcher.
//
// The blocks of a grid run one after the other. The threads of a block run one after the other too, each until it ends or
// comes to a barrier; when all have, each goes on from there. Threads of odd blocks run backwards, so that a result that
// depends on the order of threads between two barriers is seen to do so.
#include <math.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <type_traits>
#include <ucontext.h>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __constant__ static
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

struct uint3 { unsigned x, y, z; };
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
static const int warpSize = 32;

#define SHIM_VECTOR(type, name)                                                                                       \
    struct name##2 { type x, y; };                                                                                    \
    struct name##3 { type x, y, z; };                                                                                 \
    struct alignas(sizeof(type) * 4 > 16 ? 16 : sizeof(type) * 4) name##4 { type x, y, z, w; };                       \
    inline name##2 make_##name##2(type x, type y) { return {x, y}; }                                                  \
    inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
SHIM_VECTOR(float, float)
SHIM_VECTOR(double, double)
SHIM_VECTOR(int, int)
SHIM_VECTOR(long long, longlong)
struct uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// Arithmetic: what CUDA has beyond math.h -----------------------------------------------------------------------------

template <class A, class B> inline std::common_type_t<A, B> max(A a, B b) {
    std::common_type_t<A, B> x = a, y = b;
    if constexpr (std::is_floating_point_v<decltype(x)>) return fmax(x, y);
    else return x > y ? x : y;
}
template <class A, class B> inline std::common_type_t<A, B> min(A a, B b) {
    std::common_type_t<A, B> x = a, y = b;
    if constexpr (std::is_floating_point_v<decltype(x)>) return fmin(x, y);
    else return x < y ? x : y;
}
inline float rsqrt(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float sinpif(float x) { return (float)sin(M_PI * x); }
inline float cospif(float x) { return (float)cos(M_PI * x); }
inline float sinpi(float x) { return sinpif(x); }
inline float cospi(float x) { return cospif(x); }
inline double sinpi(double x) { return sin(M_PI * x); }
inline double cospi(double x) { return cos(M_PI * x); }
inline void sincospi(double x, double *s, double *c) { *s = sinpi(x), *c = cospi(x); }
inline void sincospif(float x, float *s, float *c) { *s = sinpif(x), *c = cospif(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((uint64_t)a * b) >> 32); }
inline int __mulhi(int a, int b) { return (int)(((int64_t)a * b) >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline float __int_as_float(int x) { float y; memcpy(&y, &x, 4); return y; }
inline int __float_as_int(float x) { int y; memcpy(&y, &x, 4); return y; }
inline float __uint_as_float(unsigned x) { float y; memcpy(&y, &x, 4); return y; }
inline unsigned __float_as_uint(float x) { unsigned y; memcpy(&y, &x, 4); return y; }
inline double __longlong_as_double(long long x) { double y; memcpy(&y, &x, 8); return y; }
inline long long __double_as_longlong(double x) { long long y; memcpy(&y, &x, 8); return y; }
template <class T> inline T __ldg(const T *p) { return *p; }
inline void __threadfence() {}
inline void __threadfence_block() {}

// Atomics: exactly the types that CUDA has them for -------------------------------------------------------------------

#define SHIM_ATOMIC(name, type, value)                                                                                \
    inline type name(type *p, type x) { type old = *p; *p = (value); return old; }
#define SHIM_ATOMICS(type)                                                                                            \
    SHIM_ATOMIC(atomicMax, type, old > x ? old : x)                                                                   \
    SHIM_ATOMIC(atomicMin, type, old < x ? old : x)                                                                   \
    SHIM_ATOMIC(atomicAnd, type, old & x)                                                                             \
    SHIM_ATOMIC(atomicOr, type, old | x)                                                                              \
    SHIM_ATOMIC(atomicXor, type, old ^ x)                                                                             \
    SHIM_ATOMIC(atomicExch, type, x)                                                                                  \
    inline type atomicCAS(type *p, type compare, type x) { type old = *p; if (old == compare) *p = x; return old; }
SHIM_ATOMICS(int)
SHIM_ATOMICS(unsigned)
SHIM_ATOMICS(unsigned long long)
SHIM_ATOMIC(atomicAdd, int, old + x)
SHIM_ATOMIC(atomicAdd, unsigned, old + x)
SHIM_ATOMIC(atomicAdd, unsigned long long, old + x)
SHIM_ATOMIC(atomicAdd, float, old + x)
SHIM_ATOMIC(atomicAdd, double, old + x)
SHIM_ATOMIC(atomicSub, int, old - x)
SHIM_ATOMIC(atomicSub, unsigned, old - x)
SHIM_ATOMIC(atomicExch, float, x)

namespace shim {

// What a kernel's parameters are, for the caller to check: "i4 f8 pf4 kf4" is int, double, float *, const float * --------

template <class T> void describe(char *&s) {
    using U = std::remove_cv_t<T>;
    if constexpr (std::is_pointer_v<U>) {
        *s++ = std::is_const_v<std::remove_pointer_t<U>> ? 'k' : 'p';
        describe<std::remove_pointer_t<U>>(s);
    } else if constexpr (std::is_void_v<U>) *s++ = 'v';
    else {
        *s++ = std::is_same_v<U, bool> ? 'b' : std::is_floating_point_v<U> ? 'f'
             : !std::is_integral_v<U> ? 's' : std::is_signed_v<U> ? 'i' : 'u';
        s += sprintf(s, "%d", (int)sizeof(U));
    }
}
template <class... P> const char *signature(void (*)(P...)) {
    static char text[1024];
    char *s = text;
    (void)std::initializer_list<int>{(describe<P>(s), *s++ = ' ', 0)...};
    *s = 0;
    return text;
}

// Threads -------------------------------------------------------------------------------------------------------------

static const size_t STACK = 1 << 16;

struct Thread {
    ucontext_t start;
    jmp_buf place;
    char *stack;
    bool waits;
    int line;
};
static Thread *threads, *running;
static jmp_buf scheduler;
static unsigned started, total;
static bool backwards;
static void (*body)(void *);
static void *arguments;
static void *shared_memory;

static void set_thread(unsigned i) {
    if (backwards) i = total - 1 - i;
    threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
}
static void run_threads() {  // one after the other, until one waits; the next ones are then run by another stack
    while (started < total) {
        set_thread(started++);
        body(arguments);
    }
    running->waits = false;
    _longjmp(scheduler, 1);
}
__attribute__((noinline)) static void barrier(int line) {
    uint3 me = threadIdx;
    running->waits = true;
    running->line = line;
    if (!_setjmp(running->place)) _longjmp(scheduler, 1);
    threadIdx = me;
}
__attribute__((noinline)) static void resume(Thread *t, bool fresh) {
    running = t;
    if (_setjmp(scheduler)) return;
    if (fresh) setcontext(&t->start);
    _longjmp(t->place, 1);
}
static const char *run_block_with_barriers() {
    unsigned stacks = 0, ended;
    started = 0;
    while (started < total) {
        Thread *t = &threads[stacks++];
        if (!t->stack) t->stack = (char *)malloc(STACK);
        getcontext(&t->start);
        t->start.uc_stack.ss_sp = t->stack;
        t->start.uc_stack.ss_size = STACK;
        t->start.uc_link = nullptr;
        makecontext(&t->start, run_threads, 0);
        resume(t, true);
    }
    unsigned waiting = 0;
    for (unsigned i = 0; i < stacks; i++) waiting += threads[i].waits;
    ended = total - waiting;
    while (waiting) {
        if (ended) return "__syncthreads() was not reached by all threads of a block";
        for (unsigned i = 1; i < stacks; i++)
            if (threads[i].line != threads[0].line) return "threads of one block wait at different __syncthreads()";
        for (unsigned i = 0; i < stacks; i++) {
            resume(&threads[i], false);
            ended += !threads[i].waits;
        }
        waiting = total - ended;
    }
    return nullptr;
}
static const char *run_grid(dim3 grid, dim3 block, size_t shared, bool barriers) {
    gridDim = grid, blockDim = block, total = block.x * block.y * block.z;
    shared_memory = malloc(shared + 16);
    if (barriers) threads = (Thread *)calloc(total, sizeof(Thread));
    const char *error = nullptr;
    for (unsigned z = 0; z < grid.z && !error; z++)
        for (unsigned y = 0; y < grid.y && !error; y++)
            for (unsigned x = 0; x < grid.x && !error; x++) {
                blockIdx = {x, y, z};
                backwards = (x + y + z) & 1;
                memset(shared_memory, 0xFF, shared);
                if (barriers) error = run_block_with_barriers();
                else
                    for (unsigned i = 0; i < total; i++) set_thread(i), body(arguments);
            }
    if (barriers) {
        for (unsigned i = 0; i < total; i++) free(threads[i].stack);
        free(threads);
    }
    free(shared_memory);
    return error;
}
template <class... P> struct Launch {
    void (*kernel)(P...);
    void **values;
    template <size_t... I> void call(std::index_sequence<I...>) { kernel(*(std::remove_reference_t<P> *)values[I]...); }
    static void one(void *self) { ((Launch *)self)->call(std::index_sequence_for<P...>()); }
};
template <class... P> const char *launch(void (*kernel)(P...), void **values, const unsigned *sizes, size_t shared,
                                         bool barriers) {
    Launch<P...> all{kernel, values};
    body = Launch<P...>::one, arguments = &all;
    return run_grid({sizes[0], sizes[1], sizes[2]}, {sizes[3], sizes[4], sizes[5]}, shared, barriers);
}

// A raw parameter of an elementwise kernel: an array by its position in row-major order -------------------------------

static const char *raw_error;

template <class T> struct Raw {
    T *data;
    const long long *layout;  // dimensions, then lengths, then strides in bytes
    long long size() const {
        long long n = 1;
        for (long long d = 0; d < layout[0]; d++) n *= layout[1 + d];
        return n;
    }
    const long long *shape() const { return layout + 1; }
    const long long *strides() const { return layout + 1 + layout[0]; }
    T &operator[](long long i) const {
        static std::remove_const_t<T> nowhere;
        if (i < 0 || i >= size()) {
            raw_error = "a raw array was indexed out of bounds";
            return nowhere;
        }
        long long offset = 0;
        for (long long d = layout[0]; d-- > 0; i /= shape()[d]) offset += i % shape()[d] * strides()[d];
        return *(T *)((char *)data + offset);
    }
};
struct Indexer {
    long long i, n;
    long long size() const { return n; }
    long long get() const { return i; }
};

}  // namespace shim

#define __syncthreads() shim::barrier(__LINE__)
