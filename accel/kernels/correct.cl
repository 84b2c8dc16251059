/* (pixel - dark) * factor, NaN where a pixel is invalid.
   in:  pixels (frames, count) T; mask (count) uchar; dark, factor (count) float
   out: found (frames, count) float
   Launch: (parts, frames), local size 1; SHAPE as in common.cl.
   Reference: accel.reference.correct */
__kernel void correct(__global const T *restrict pixels, __global const uchar *restrict mask, __global const float *restrict dark,
                      __global const float *restrict factor, const uint count, __global float *restrict found)
{
    const uint part = get_global_id(0), parts = get_global_size(0), frame = get_global_id(1);
    const size_t base = (size_t)frame * count;
    EACH_OF_PART(i, part, parts, count) {
        const T x = pixels[base + i];
        const float value = ((float)x - dark[i]) * factor[i];
        found[base + i] = (OWN(x) && !mask[i]) ? value : NAN;
    }
}
