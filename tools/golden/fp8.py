"""FP8 E4M3 codes with float32 scales: section 3.3 of arXiv:2412.19437.

One scale per tile of 1x128 (activations, gradients) or block of 128x128 (weights). Where the matrix
ends inside a tile, the entries that are not there count as zeros.
"""
import numpy as np

SIDE = 128
LARGEST = 448.0
FLOOR = np.float32(1e-4)  # of an activation tile's largest magnitude, when it is quantised for inference
NAN = 0x7F


def _decode_table():
    """Sign, 4 exponent bits with bias 7, 3 mantissa bits; exponent 0 is subnormal; no infinities."""
    code = np.arange(256)
    exponent, mantissa = (code >> 3) & 15, code & 7
    value = np.where(exponent == 0, mantissa * 2.0 ** -9, (8 + mantissa) * 2.0 ** (exponent - 10.0))
    value[code & NAN == NAN] = np.nan
    return np.where(code < 128, value, -value)


DECODE = _decode_table()


def decode(codes):
    return DECODE[codes]


def encode(x):
    """The code nearest to x, the even one of two equally near, the largest where x lies beyond it."""
    x = np.asarray(x, dtype=np.float64)  # holds every float32 and every midpoint exactly
    size = np.minimum(np.abs(np.nan_to_num(x, nan=0.0, posinf=LARGEST, neginf=-LARGEST)), LARGEST)
    positive = DECODE[:NAN]
    above = np.searchsorted(positive, size)  # the first code that is not below
    below = np.maximum(above - 1, 0)
    to_above, to_below = positive[above] - size, size - positive[below]
    takes_below = (to_below < to_above) | ((to_below == to_above) & (below % 2 == 0))
    code = np.where(takes_below, below, above) | np.where(np.signbit(x), 128, 0)
    return np.where(np.isnan(x), NAN, code).astype(np.uint8)


def power_of_two_above(scale):
    """UE8M0: the smallest power of two that is at least `scale`."""
    mantissa, exponent = np.frexp(scale)  # mantissa in [1/2, 1)
    return np.ldexp(np.float32(1.0), np.where(mantissa == 0.5, exponent - 1, exponent)).astype(np.float32)


def spread(scale, shape, tile):
    """Repeats every scale over its tile."""
    return np.repeat(np.repeat(scale, tile[0], axis=0), tile[1], axis=1)[:shape[0], :shape[1]]


def quantise(x, tile, floor=np.float32(0.0), power_of_two=False):
    """x [R, C] -> codes [R, C], scales [ceil(R / tile[0]), ceil(C / tile[1])].

    scale = largest magnitude / 448 and x / scale are float32 divisions. A tile of zeros has scale 1.
    """
    x = np.asarray(x, dtype=np.float32)
    rows, columns = -(-x.shape[0] // tile[0]), -(-x.shape[1] // tile[1])
    padded = np.zeros((rows * tile[0], columns * tile[1]), dtype=np.float32)
    padded[:x.shape[0], :x.shape[1]] = np.abs(x)
    amax = np.maximum(padded.reshape(rows, tile[0], columns, tile[1]).max(axis=(1, 3)), floor)
    scale = np.where(amax > 0, amax / np.float32(LARGEST), np.float32(1.0))
    if power_of_two:
        scale = power_of_two_above(scale)
    return encode(x / spread(scale, x.shape, tile)), scale


def dequantise(codes, scale, tile):
    """code * scale, rounded to float32 as a program holds it; float64 from there on."""
    product = decode(codes).astype(np.float32) * spread(scale, codes.shape, tile)
    return product.astype(np.float64)


ROW_TILE, COLUMN_TILE, BLOCK = (1, SIDE), (SIDE, 1), (SIDE, SIDE)


def rounded(x, tile, **how):
    """x as its codes and scales represent it."""
    return dequantise(*quantise(x, tile, **how), tile)
