// Random numbers: Philox4x32-10 of Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
//
// Block i of the stream is a function of the key and of i alone, ten rounds of multiplications that mix 128 bits. So no
// thread waits for another, and no state lies in memory: a thread computes a block, makes numbers of it, and goes on.
// Number j of a block goes to element i + j · blocks, that neighbouring threads write to neighbouring elements.

typedef unsigned long long ulong;  // 64 bits

#define PER_BLOCK (16 / (int)sizeof(REAL))  // numbers made of 128 bits

struct Block {
    unsigned words[4];
};

__device__ Block philox(ulong key, ulong low, ulong high)
{
    // The block at position low + 2⁶⁴ · high.
    unsigned a = (unsigned)low, b = (unsigned)(low >> 32), c = (unsigned)high, d = (unsigned)(high >> 32);
    unsigned k = (unsigned)key, l = (unsigned)(key >> 32);
    for (int round = 0; round < 10; round++) {
        unsigned from_a = __umulhi(0xD2511F53u, a), from_c = __umulhi(0xCD9E8D57u, c);
        unsigned low_a = 0xD2511F53u * a, low_c = 0xCD9E8D57u * c;
        a = from_c ^ b ^ k;
        b = low_c;
        c = from_a ^ d ^ l;
        d = low_a;
        k += 0x9E3779B9u;  // the golden ratio
        l += 0xBB67AE85u;  // √3 − 1
    }
    return {{a, b, c, d}};
}

__device__ Block block_at(long long i, ulong key, ulong low, ulong high)
{
    // i blocks after the position low + 2⁶⁴ · high, with the carry.
    return philox(key, low + i, high + (low + i < low));
}

__device__ ulong bits_of(const Block &block, int j)
{
    return (ulong)block.words[2 * j + 1] << 32 | block.words[2 * j];
}

// Number j of a block in [0, 1), by the type of the last argument: a multiple of 2⁻²⁴ or of 2⁻⁵³.
__device__ float unit(const Block &block, int j, float)
{
    return (block.words[j] >> 8) * (1.0f / (1 << 24));
}
__device__ double unit(const Block &block, int j, double)
{
    return (bits_of(block, j) >> 11) * (1.0 / (1ll << 53));
}

extern "C" __global__ void uniform(long long size, REAL *y, long long count, ulong key, ulong low, ulong high)
{
    // Numbers in [0, 1). size = blocks, count = elements
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        Block block = block_at(i, key, low, high);
        for (int j = 0; j < PER_BLOCK; j++)
            if (i + j * size < count)
                y[i + j * size] = unit(block, j, (REAL)0);
    }
}

extern "C" __global__ void normal(long long size, REAL *y, long long count, ulong key, ulong low, ulong high)
{
    // Box & Muller 1958: √(−2 ln u) · (cos 2πv, sin 2πv), with u in (0, 1]
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        Block block = block_at(i, key, low, high);
        for (int j = 0; j < PER_BLOCK; j += 2) {
            REAL radius = sqrt(-2 * log(1 - unit(block, j, (REAL)0))), turns = 2 * unit(block, j + 1, (REAL)0);
            if (i + j * size < count)
                y[i + j * size] = radius * cospi(turns);
            if (i + (j + 1) * size < count)
                y[i + (j + 1) * size] = radius * sinpi(turns);
        }
    }
}

extern "C" __global__ void keep_mask(
    long long size, REAL *y, long long count, ulong key, ulong low, ulong high, int dropped, double kept)
{
    // 0 where 16 random bits are below `dropped`, else `kept`; eight of them from each block
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        Block block = block_at(i, key, low, high);
        for (int j = 0; j < 8; j++)
            if (i + j * size < count)
                y[i + j * size] = (int)(block.words[j / 2] >> j % 2 * 16 & 0xFFFF) < dropped ? (REAL)0 : (REAL)kept;
    }
}

extern "C" __global__ void integers(
    long long size, long long *y, long long count, ulong key, ulong low, ulong high, long long lowest, ulong range)
{
    // lowest + ⌊range · u⌋, u one of the 2⁶⁴ fractions in [0, 1); a range of 0 means 2⁶⁴
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size;
         i += gridDim.x * (long long)blockDim.x) {
        Block block = block_at(i, key, low, high);
        for (int j = 0; j < 2; j++)
            if (i + j * size < count) {
                ulong bits = bits_of(block, j);
                y[i + j * size] = (long long)((ulong)lowest + (range ? __umul64hi(bits, range) : bits));
            }
    }
}
