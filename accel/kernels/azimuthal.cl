/* Sums over bins of frames; each work-item has bins of its own, so that none waits for another.
   in:  pixels (frames, count) T; mask (count) uchar; places (count) int; factor (count) float
   out: per frame and part: sums, weights (bins) double; counts (bins) uint
   Launch: (parts, frames), local size 1; SHAPE as in common.cl.
   Reference: accel.reference.azimuthal */
__kernel void azimuthal(__global const T *restrict pixels, __global const uchar *restrict mask, __global const int *restrict places,
                        __global const float *restrict factor, const uint count, const uint bins, __global double *restrict sums,
                        __global double *restrict weights, __global uint *restrict counts)
{
    const uint part = get_global_id(0), parts = get_global_size(0), frame = get_global_id(1);
    const size_t own = ((size_t)frame * parts + part) * bins, base = (size_t)frame * count;
    for (uint bin = 0; bin < bins; bin++) {
        sums[own + bin] = 0.0;
        weights[own + bin] = 0.0;
        counts[own + bin] = 0;
    }
    EACH_OF_PART(i, part, parts, count) {
        const T x = pixels[base + i];
        const int bin = places[i];
        if (bin < 0 || mask[i] || !OWN(x)) continue;
        sums[own + bin] += (double)x;
        weights[own + bin] += (double)factor[i];
        counts[own + bin]++;
    }
}
