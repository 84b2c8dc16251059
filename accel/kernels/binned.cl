/* Sums over squares of SIZE x SIZE pixels of a region, and how many pixels of each are valid.
   in:  pixels (frames, rows, width) T; mask (rows, width) uchar
   out: sums (frames, high, wide) SUM; counts (frames, high, wide) uint
   Launch: (wide, high, frames), local size of the runtime's choice; one output pixel a work-item.
   Reference: accel.reference.binned */
__kernel void binned(__global const T *restrict pixels, __global const uchar *restrict mask, const uint rows, const uint width, const uint row,
                     const uint column, const uint size, __global SUM *restrict sums, __global uint *restrict counts)
{
    const uint x = get_global_id(0), y = get_global_id(1), frame = get_global_id(2), wide = get_global_size(0), high = get_global_size(1);
    const size_t base = (size_t)frame * rows * width;
    SUM sum = 0;
    uint valid = 0;
    for (uint j = 0; j < size; j++) {
        const size_t line = (size_t)(row + y * size + j) * width + column + x * size;
        for (uint i = 0; i < size; i++) {
            const T value = pixels[base + line + i];
            if (!mask[line + i] && OWN(value)) {
                sum += (SUM)value;
                valid++;
            }
        }
    }
    const size_t place = ((size_t)frame * high + y) * wide + x;
    sums[place] = sum;
    counts[place] = valid;
}
