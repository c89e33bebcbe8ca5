"""Reverse-mode differentiation of float64 arrays, as small as the model needs.

A Value holds an array and, for every Value it was computed from, the function that turns the gradient
of the result into the gradient of that argument. gradients() walks them from the last to the first.
Arrays broadcast as numpy's do; plain arrays and numbers count as constants.
"""
import itertools

import numpy as np

_serial = itertools.count()


class Value:
    __array_ufunc__ = None  # `array * value` asks Value, not numpy

    def __init__(self, data, arguments=()):
        self.data = np.asarray(data, dtype=np.float64)
        self.arguments = arguments  # pairs (Value, gradient of the result -> gradient of the argument)
        self.serial = next(_serial)  # an argument is always older than the result

    @property
    def shape(self):
        return self.data.shape

    def __add__(self, other):
        other = as_value(other)
        return Value(self.data + other.data, ((self, lambda g: _fold(g, self.shape)),
                                              (other, lambda g: _fold(g, other.shape))))

    def __mul__(self, other):
        other = as_value(other)
        return Value(self.data * other.data, ((self, lambda g: _fold(g * other.data, self.shape)),
                                              (other, lambda g: _fold(g * self.data, other.shape))))

    def __pow__(self, exponent):
        return Value(self.data ** exponent,
                     ((self, lambda g: g * exponent * self.data ** (exponent - 1)),))

    def __matmul__(self, other):
        """The product of the last two axes; axes in front broadcast."""
        return Value(self.data @ other.data,
                     ((self, lambda g: _fold(g @ other.data.swapaxes(-1, -2), self.shape)),
                      (other, lambda g: _fold(self.data.swapaxes(-1, -2) @ g, other.shape))))

    def __getitem__(self, index):
        def spread(g):
            whole = np.zeros(self.shape)
            np.add.at(whole, index, g)  # an entry taken twice collects both gradients
            return whole
        return Value(self.data[index], ((self, spread),))

    def sum(self, axis=None, keepdims=False):
        def spread(g):
            return np.broadcast_to(g if keepdims or axis is None else np.expand_dims(g, axis), self.shape)
        return Value(self.data.sum(axis=axis, keepdims=keepdims), ((self, spread),))

    def mean(self, axis=None, keepdims=False):
        total = self.sum(axis, keepdims)
        return total * (total.data.size / self.data.size)

    def reshape(self, *shape):
        return Value(self.data.reshape(shape), ((self, lambda g: g.reshape(self.shape)),))

    def transpose(self, *axes):
        return Value(self.data.transpose(axes), ((self, lambda g: g.transpose(np.argsort(axes))),))

    @property
    def T(self):
        return self.transpose(1, 0)

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -as_value(other)

    def __truediv__(self, other):
        return self * as_value(other) ** -1.0

    __radd__ = __add__
    __rmul__ = __mul__


def as_value(x):
    return x if isinstance(x, Value) else Value(x)


def _fold(gradient, shape):
    """The transpose of broadcasting: sums over the axes that were repeated."""
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    repeated = tuple(i for i, n in enumerate(shape) if n == 1)
    return gradient.sum(axis=repeated, keepdims=True)


def exp(x):
    y = np.exp(x.data)
    return Value(y, ((x, lambda g: g * y),))


def log(x):
    return Value(np.log(x.data), ((x, lambda g: g / x.data),))


def sigmoid(x):
    y = 1.0 / (1.0 + np.exp(-x.data))
    return Value(y, ((x, lambda g: g * y * (1.0 - y)),))


def silu(x):
    return x * sigmoid(x)


def log_softmax(x):
    """Over the last axis, as softmax()."""
    shifted = x - x.data.max(axis=-1, keepdims=True)
    return shifted - log(exp(shifted).sum(axis=-1, keepdims=True))


def softmax(x):
    """exp of an entry of -inf is 0: a masked score takes no part."""
    e = exp(x - x.data.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def where(mask, x, y):
    """x where the constant mask is 1, y where it is 0."""
    return x * mask + y * (1.0 - mask)


def concatenate(values, axis=-1):
    ends = np.cumsum([v.shape[axis] for v in values])

    def part(i):
        return lambda g: np.split(g, ends[:-1], axis=axis)[i]
    return Value(np.concatenate([v.data for v in values], axis=axis),
                 tuple((v, part(i)) for i, v in enumerate(values)))


def put_rows(x, rows, n):
    """[n, D] with row rows[i] = x[i] and zeros elsewhere; rows are distinct."""
    whole = np.zeros((n,) + x.shape[1:])
    whole[rows] = x.data
    return Value(whole, ((x, lambda g: g[rows]),))


def gradients(result, wanted):
    """d(result)/d(value) for every value of the dictionary `wanted`, under the same keys."""
    reached, todo = {id(result): result}, [result]
    while todo:
        for argument, _ in todo.pop().arguments:
            if id(argument) not in reached:
                reached[id(argument)] = argument
                todo.append(argument)
    collected = {id(result): np.ones(result.shape)}
    for value in sorted(reached.values(), key=lambda v: -v.serial):
        for argument, pull in value.arguments:
            collected[id(argument)] = collected.get(id(argument), 0.0) + pull(collected[id(value)])
    return {key: collected.get(id(value), np.zeros(value.shape)) for key, value in wanted.items()}
