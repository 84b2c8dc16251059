/* Sums of frames with even and with odd trigger numbers.
   in:  pixels (frames, count) T; mask (count) uchar
   out: sums (2, count) SUM; counts (2, count) uint: of the frames of this launch
   Launch: parts, as in common.cl, each of which goes through all frames.
   Reference: accel.shipped.parity.reference */
__kernel void parity(__global const T *restrict pixels, __global const uchar *restrict mask, const uint count, const uint frames, const uint first,
                     __global SUM *restrict sums, __global uint *restrict counts)
{
    const uint part = PART, parts = PARTS;
    EACH_BLOCK(from, length, part, parts, count) {
        for (uint odd = 0; odd < 2; odd++) {
            __global SUM *restrict s = sums + (size_t)odd * count + from;
            __global uint *restrict n = counts + (size_t)odd * count + from;
            __global const uchar *restrict m = mask + from;
            for (int i = 0; i < (int)length; i++) {
                s[i * STEP] = 0;
                n[i * STEP] = 0;
            }
            for (uint frame = (first + odd) & 1; frame < frames; frame += 2) {
                __global const T *restrict p = pixels + (size_t)frame * count + from;
                for (int i = 0; i < (int)length; i++) {
                    const T x = p[i * STEP];
                    const uint ok = OWN(x) & (m[i * STEP] == 0);
                    s[i * STEP] += ok ? (SUM)x : 0;
                    n[i * STEP] += ok;
                }
            }
        }
    }
}
