// Non-maximum suppression: all overlaps as bits, then the boxes one after the other.

extern "C" __global__ void overlap_bits(
    long long size, unsigned long long *bits, const REAL *boxes, int count, int words, double threshold)
{
    // Bit j − 64·w of bits[i, w] tells whether box j, one after i, overlaps box i by more than the threshold.
    // size = count · words
    for (long long at = blockIdx.x * (long long)blockDim.x + threadIdx.x; at < size;
         at += gridDim.x * (long long)blockDim.x) {
        int i = at / words, first = (at - (long long)i * words) * 64;
        const REAL *a = boxes + 4LL * i;
        REAL area = (a[2] - a[0]) * (a[3] - a[1]);
        unsigned long long found = 0;
        for (int j = max(first, i + 1); j < min(first + 64, count); j++) {
            const REAL *b = boxes + 4LL * j;
            REAL width = fmin(a[2], b[2]) - fmax(a[0], b[0]), height = fmin(a[3], b[3]) - fmax(a[1], b[1]);
            REAL common = fmax(width, (REAL)0) * fmax(height, (REAL)0);
            REAL overlap = common / (area + (b[2] - b[0]) * (b[3] - b[1]) - common);
            if ((double)overlap > threshold)
                found |= 1ULL << (j - first);
        }
        bits[at] = found;
    }
}

extern "C" __global__ void keep_greedily(
    bool *keep, unsigned long long *removed, const unsigned long long *bits, int count, int words)
{
    // One block. A box that nobody has removed when its turn comes stays, and removes those after it that it overlaps.
    for (int i = 0; i < count; i++) {
        bool stays = !(removed[i / 64] >> (i % 64) & 1);
        if (threadIdx.x == 0)
            keep[i] = stays;
        if (stays)  // the same for all threads
            for (int w = i / 64 + threadIdx.x; w < words; w += blockDim.x)
                removed[w] |= bits[(long long)i * words + w];
        __syncthreads();
    }
}
