/* The pixels above a level, by number and value: each part writes its own to the beginning of its piece.
   in:  pixels (frames, count) T; mask (count) uchar; least (1) LEVEL: the smallest value above the level
   out: numbers (frames, count) uint; values (frames, count) T; per frame and part: counts uint
   Launch: parts and frames, as in common.cl, but runs of pixels in both shapes, so that the order stays.
   Reference: accel.shipped.sparse.reference */
#if KIND == 2
typedef float LEVEL;
#else
typedef uint LEVEL;
#endif
__kernel void sparse(__global const T *restrict pixels, __global const uchar *restrict mask, __global const LEVEL *restrict least, const uint count,
                     __global uint *restrict numbers, __global T *restrict values, __global uint *restrict counts)
{
    const uint part = PART, parts = PARTS, frame = FRAME;
    const uint each = (count + parts - 1) / parts, begin = min(part * each, count), end = min(begin + each, count);
    const size_t base = (size_t)frame * count;
    const LEVEL bound = least[0];
    __global const T *restrict p = pixels + base;
    uint n = begin;
    for (uint first = begin; first < end; first += 64) {
        const int length = min(64u, end - first);
        uint any = 0;
        for (int i = 0; i < length; i++) any |= (LEVEL)p[first + i] >= bound;
        if (!any) continue;
        for (int i = 0; i < length; i++) {
            const uint here = first + i;
            const T x = p[here];
            numbers[base + n] = here; /* what does not count is written over */
            values[base + n] = x;
            n += ((LEVEL)x >= bound) & OWN(x) & (mask[here] == 0);
        }
    }
    counts[(size_t)frame * parts + part] = n - begin;
}
