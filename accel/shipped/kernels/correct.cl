/* (pixel - dark) * factor, NaN where a pixel is invalid.
   in:  pixels (frames, count) T; mask (count) uchar; dark, factor (count) float
   out: found (frames, count) float
   Launch: parts and frames, as in common.cl.
   Reference: accel.shipped.correct.reference */
__kernel void correct(__global const T *restrict pixels, __global const uchar *restrict mask, __global const float *restrict dark,
                      __global const float *restrict factor, const uint count, __global float *restrict found)
{
    const uint part = PART, parts = PARTS, frame = FRAME;
    const size_t base = (size_t)frame * count;
    EACH_BLOCK(from, length, part, parts, count) {
        __global const T *restrict p = pixels + base + from;
        __global const uchar *restrict m = mask + from;
        __global const float *restrict d = dark + from, *restrict f = factor + from;
        __global float *restrict out = found + base + from;
        for (int i = 0; i < (int)length; i++) {
            const T x = p[i * STEP];
            const float value = ((float)x - d[i * STEP]) * f[i * STEP];
            out[i * STEP] = (OWN(x) & (m[i * STEP] == 0)) ? value : NAN;
        }
    }
}
