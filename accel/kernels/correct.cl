/* (pixel - dark) * factor, NaN where a pixel is invalid.
   in:  pixels (frames, count) T; mask (count) uchar; dark, factor (count) float
   out: found (frames, count) float
   Launch: (parts, frames), local size 1; SHAPE as in statistics.cl.
   Reference: accel.reference.correct */
__kernel void correct(__global const T *restrict pixels, __global const uchar *restrict mask, __global const float *restrict dark,
                      __global const float *restrict factor, const uint count, __global float *restrict found)
{
    const uint part = get_global_id(0), parts = get_global_size(0), frame = get_global_id(1);
    const size_t base = (size_t)frame * count;
#if SHAPE == 0
    const uint each = (count + parts - 1) / parts, begin = min(part * each, count), end = min(begin + each, count), step = 1;
#else
    const uint begin = part, end = count, step = parts;
#endif
    for (uint i = begin; i < end; i += step) {
        const T x = pixels[base + i];
        const float value = ((float)x - dark[i]) * factor[i];
        found[base + i] = (OWN(x) && !mask[i]) ? value : NAN;
    }
}
