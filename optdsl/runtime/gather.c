/* Reads the addresses of many NumPy arrays in one call, for kernels that work through a table of addresses. Works on the
   arrays' own fields and calls nothing of Python; the caller holds the interpreter's lock. */
#include <Python.h>
#include <stdint.h>

#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#include <numpy/ndarraytypes.h>

/* Whether the bytes from low up to high meet one of the spans, sorted by where they begin; reach[i] is the furthest end
   among the first i + 1. */
static int meets(const int64_t *lows, const int64_t *reach, int64_t spans, int64_t low, int64_t high) {
    int64_t before = 0, after = spans;
    while (before < after) {
        const int64_t middle = before + (after - before) / 2;
        if (lows[middle] < high) before = middle + 1;
        else after = middle;
    }
    return before > 0 && low < high && reach[before - 1] > low;
}

/* Whether g is an array itself, no subclass, that can stand for the gradient of p, whose elements may be changed. */
static int plain(PyObject *g, PyArrayObject *p, const PyTypeObject *array_type) {
    const int layout = NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED;
    if (Py_TYPE(g) != array_type || !(PyArray_FLAGS(p) & NPY_ARRAY_WRITEABLE)) return 0;
    PyArrayObject *array = (PyArrayObject *)g;
    const PyArray_Descr *type = PyArray_DESCR(array);
    if (type->type_num != PyArray_DESCR(p)->type_num || !PyArray_ISNBO(type->byteorder)) return 0;
    if ((PyArray_FLAGS(array) & layout) != layout || PyArray_NDIM(array) != PyArray_NDIM(p)) return 0;
    for (int axis = 0; axis < PyArray_NDIM(p); ++axis)
        if (PyArray_DIMS(array)[axis] != PyArray_DIMS(p)[axis]) return 0;
    return 1;
}

/* Write the address of each gradient to where cells[i] points, and to given[i] whether there is one: None stands for no
   gradient. Returns how many there are; -1 where one isn't plain or shares memory with one of the spans. An address that
   is there already has been looked at before. Two tuples of the same length. */
int64_t optdsl_gather(
    PyObject *gradients, PyObject *parameters, PyObject *array_type, const int64_t *cells, const int64_t *lows,
    const int64_t *reach, int64_t spans, int8_t *given
) {
    const Py_ssize_t count = PyTuple_GET_SIZE(parameters);
    int64_t taken = 0;
    if (PyTuple_GET_SIZE(gradients) != count) return -1;
    for (Py_ssize_t i = 0; i < count; ++i) {
        PyObject *g = PyTuple_GET_ITEM(gradients, i);
        PyArrayObject *p = (PyArrayObject *)PyTuple_GET_ITEM(parameters, i);
        given[i] = g != Py_None;
        if (!given[i]) continue;
        if (!plain(g, p, (PyTypeObject *)array_type)) return -1;
        ++taken;
        const int64_t low = (int64_t)(intptr_t)PyArray_DATA((PyArrayObject *)g);
        int64_t *cell = (int64_t *)(intptr_t)cells[i];
        if (*cell == low) continue;
        /* Parameters are double, float, or of 16 bits: half or a bfloat16 that NumPy knows by a number of its own. */
        const int type = PyArray_DESCR(p)->type_num;
        int64_t bytes = type == NPY_DOUBLE ? 8 : type == NPY_FLOAT ? 4 : 2;
        for (int axis = 0; axis < PyArray_NDIM(p); ++axis) bytes *= PyArray_DIMS(p)[axis];
        if (meets(lows, reach, spans, low, low + bytes)) return -1;
        *cell = low;
    }
    return taken;
}
