"""The compiled way from Python into a kernel: LLVM IR of one built-in function.

`launch(scratch, threads, *arrays)` is called by the interpreter as any built-in, reads
dtype, shape, strides and data pointers from the NumPy arrays themselves, compares them
with the *plan* of a specialisation and calls the kernel. It serves every kernel: the
plan, an array of 64-bit words, is the function's `self`.

The positions of the fields are those of `PyArrayObject_fields` and `PyArray_Descr` in
NumPy's C interface, which extension modules are compiled against, so they cannot move.
They follow the head of every object, whose size the interpreter tells
(`object.__basicsize__`; another in free-threaded builds).
"""

from __future__ import annotations

import sys
from enum import IntEnum

LAUNCH = "polydsl_launch"
"""The function that `launcher_ir` defines."""

PYTHON_API = (
    "PyErr_Occurred",
    "PyEval_RestoreThread",
    "PyEval_SaveThread",
    "PyLong_AsLong",
    "PyLong_FromLong",
)
"""The functions of the interpreter that it calls."""


class Word(IntEnum):
    """What stands where at the start of a plan.

    Then come `BUFFERS` pointers (0 where an array is to be passed), and for each of
    the `ARRAYS` arrays: its place among the buffers, type number, flags it must have,
    rank, and extent and stride in bytes (or `ANY`) of each dimension.
    """

    KERNEL = 0
    PARALLEL = 1
    ARRAY_TYPE = 2
    RELEASES_GIL = 3
    BUFFERS = 4
    ARRAYS = 5
    START = 6


ANY = -(2**63)
"""In place of a stride: no element is reached by it."""

HEAD = object.__basicsize__
"""Bytes of an object before its own fields."""

DATA, RANK, SHAPE, STRIDES, DTYPE, FLAGS = (HEAD + n for n in (0, 8, 16, 24, 40, 48))
"""Where the fields of an array are, in bytes."""

BYTE_ORDER, TYPE_NUMBER = HEAD + 10, HEAD + 12
"""Where the fields of a dtype are, in bytes."""

_SWAPPED = ord(">" if sys.byteorder == "little" else "<")

_TEXT = """
declare ptr @PyErr_Occurred()
declare void @PyEval_RestoreThread(ptr)
declare ptr @PyEval_SaveThread()
declare i64 @PyLong_AsLong(ptr)
declare ptr @PyLong_FromLong(i64)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define internal ptr @data_of(ptr %array) {
  %at = getelementptr i8, ptr %array, i64 $DATA
  %data = load ptr, ptr %at
  ret ptr %data
}

; whether an object is an array with the layout of its record
define internal i1 @fits(ptr %array, ptr %record, ptr %array_type) {
entry:
  %type_at = getelementptr i8, ptr %array, i64 $TYPE
  %type = load ptr, ptr %type_at
  %is_array = icmp eq ptr %type, %array_type
  br i1 %is_array, label %fields, label %no
fields:
  %dtype_at = getelementptr i8, ptr %array, i64 $DTYPE
  %dtype = load ptr, ptr %dtype_at
  %order_at = getelementptr i8, ptr %dtype, i64 $ORDER
  %order = load i8, ptr %order_at
  %is_native = icmp ne i8 %order, $SWAPPED
  %number_at = getelementptr i8, ptr %dtype, i64 $NUMBER
  %number = load i32, ptr %number_at
  %wanted_number_at = getelementptr i64, ptr %record, i64 1
  %wanted_number = load i64, ptr %wanted_number_at
  %number_long = sext i32 %number to i64
  %is_type = icmp eq i64 %number_long, %wanted_number
  %flags_at = getelementptr i8, ptr %array, i64 $FLAGS
  %flags = load i32, ptr %flags_at
  %flags_long = sext i32 %flags to i64
  %wanted_flags_at = getelementptr i64, ptr %record, i64 2
  %wanted_flags = load i64, ptr %wanted_flags_at
  %has_flags = and i64 %flags_long, %wanted_flags
  %is_flagged = icmp eq i64 %has_flags, %wanted_flags
  %rank_at = getelementptr i8, ptr %array, i64 $RANK
  %rank = load i32, ptr %rank_at
  %rank_long = sext i32 %rank to i64
  %wanted_rank_at = getelementptr i64, ptr %record, i64 3
  %wanted_rank = load i64, ptr %wanted_rank_at
  %is_rank = icmp eq i64 %rank_long, %wanted_rank
  %both = and i1 %is_native, %is_type
  %three = and i1 %both, %is_flagged
  %all = and i1 %three, %is_rank
  br i1 %all, label %shape, label %no
shape:
  %shape_at = getelementptr i8, ptr %array, i64 $SHAPE
  %extents = load ptr, ptr %shape_at
  %strides_at = getelementptr i8, ptr %array, i64 $STRIDES
  %strides = load ptr, ptr %strides_at
  br label %head
head:
  %axis = phi i64 [ 0, %shape ], [ %next, %axis_fits ]
  %more = icmp slt i64 %axis, %wanted_rank
  br i1 %more, label %compare, label %yes
compare:
  %extent_at = getelementptr i64, ptr %extents, i64 %axis
  %extent = load i64, ptr %extent_at
  %stride_at = getelementptr i64, ptr %strides, i64 %axis
  %stride = load i64, ptr %stride_at
  %twice = shl i64 %axis, 1
  %wanted_extent_word = add i64 %twice, 4
  %wanted_stride_word = add i64 %twice, 5
  %wanted_extent_at = getelementptr i64, ptr %record, i64 %wanted_extent_word
  %wanted_extent = load i64, ptr %wanted_extent_at
  %wanted_stride_at = getelementptr i64, ptr %record, i64 %wanted_stride_word
  %wanted_stride = load i64, ptr %wanted_stride_at
  %is_extent = icmp eq i64 %extent, %wanted_extent
  %is_stride = icmp eq i64 %stride, %wanted_stride
  %is_any = icmp eq i64 %wanted_stride, $ANY
  %is_reached = or i1 %is_stride, %is_any
  %is_axis = and i1 %is_extent, %is_reached
  br i1 %is_axis, label %axis_fits, label %no
axis_fits:
  %next = add i64 %axis, 1
  br label %head
yes:
  ret i1 true
no:
  ret i1 false
}

define ptr @polydsl_launch(ptr %self, ptr %arguments, i64 %count) {
entry:
  %plan = call ptr @data_of(ptr %self)
  %arrays_at = getelementptr i64, ptr %plan, i64 $ARRAYS
  %arrays = load i64, ptr %arrays_at
  %wanted = add i64 %arrays, 2
  %is_count = icmp eq i64 %count, %wanted
  br i1 %is_count, label %start, label %mismatch
start:
  %scratch_object = load ptr, ptr %arguments
  %scratch = call ptr @data_of(ptr %scratch_object)
  %threads_at = getelementptr ptr, ptr %arguments, i64 1
  %threads_object = load ptr, ptr %threads_at
  %threads_long = call i64 @PyLong_AsLong(ptr %threads_object)
  %is_one = icmp slt i64 %threads_long, 1
  %threads_least = select i1 %is_one, i64 1, i64 %threads_long
  %is_huge = icmp sgt i64 %threads_least, 65536
  %threads_most = select i1 %is_huge, i64 65536, i64 %threads_least
  %threads = trunc i64 %threads_most to i32
  %is_error = icmp eq i64 %threads_long, -1
  br i1 %is_error, label %error, label %fill
error:
  %raised = call ptr @PyErr_Occurred()
  %is_raised = icmp ne ptr %raised, null
  br i1 %is_raised, label %fail, label %fill
fail:
  ret ptr null
fill:
  %buffers_at = getelementptr i64, ptr %plan, i64 $BUFFERS
  %number = load i64, ptr %buffers_at
  %buffers = alloca ptr, i64 %number
  %known = getelementptr i64, ptr %plan, i64 $START
  %bytes = shl i64 %number, 3
  call void @llvm.memcpy.p0.p0.i64(ptr %buffers, ptr %known, i64 %bytes, i1 false)
  %records = getelementptr i64, ptr %known, i64 %number
  %type_at = getelementptr i64, ptr %plan, i64 $ARRAY_TYPE
  %array_type = load ptr, ptr %type_at
  %passed = getelementptr ptr, ptr %arguments, i64 2
  br label %head
head:
  %index = phi i64 [ 0, %fill ], [ %next, %store ]
  %record = phi ptr [ %records, %fill ], [ %next_record, %store ]
  %more = icmp slt i64 %index, %arrays
  br i1 %more, label %check, label %ready
check:
  %array_at = getelementptr ptr, ptr %passed, i64 %index
  %array = load ptr, ptr %array_at
  %is_fit = call i1 @fits(ptr %array, ptr %record, ptr %array_type)
  br i1 %is_fit, label %store, label %mismatch
store:
  %place = load i64, ptr %record
  %buffer_at = getelementptr ptr, ptr %buffers, i64 %place
  %data = call ptr @data_of(ptr %array)
  store ptr %data, ptr %buffer_at
  %rank_at = getelementptr i64, ptr %record, i64 3
  %rank = load i64, ptr %rank_at
  %rank_words = shl i64 %rank, 1
  %words = add i64 %rank_words, 4
  %next_record = getelementptr i64, ptr %record, i64 %words
  %next = add i64 %index, 1
  br label %head
ready:
  %kernel_at = getelementptr i64, ptr %plan, i64 $KERNEL
  %kernel = load ptr, ptr %kernel_at
  %parallel_at = getelementptr i64, ptr %plan, i64 $PARALLEL
  %parallel = load ptr, ptr %parallel_at
  %releases_at = getelementptr i64, ptr %plan, i64 $RELEASES_GIL
  %releases = load i64, ptr %releases_at
  %is_long = icmp ne i64 %releases, 0
  br i1 %is_long, label %release, label %hold
release:
  %state = call ptr @PyEval_SaveThread()
  %free_status = call i32 %kernel(ptr %buffers, ptr %scratch, i32 %threads,
                                  ptr %parallel)
  call void @PyEval_RestoreThread(ptr %state)
  br label %return
hold:
  %held_status = call i32 %kernel(ptr %buffers, ptr %scratch, i32 %threads,
                                  ptr %parallel)
  br label %return
return:
  %status = phi i32 [ %free_status, %release ], [ %held_status, %hold ]
  %status_long = sext i32 %status to i64
  %result = call ptr @PyLong_FromLong(i64 %status_long)
  ret ptr %result
mismatch:
  ; -1 for the first array, -2 for the next; so too for too few or too many
  %which = phi i64 [ 0, %entry ], [ %index, %check ]
  %negative = xor i64 %which, -1
  %refusal = call ptr @PyLong_FromLong(i64 %negative)
  ret ptr %refusal
}
"""


def launcher_ir() -> str:
    """Return the LLVM IR of `launch` for this interpreter."""
    text = _TEXT
    for name, value in _numbers().items():
        text = text.replace(f"${name}", str(value))
    return text


def _numbers() -> dict[str, int]:
    """The numbers in the text, longer names before those that they begin with."""
    numbers = {
        **{word.name: int(word) for word in Word},
        **{"DATA": DATA, "RANK": RANK, "SHAPE": SHAPE, "STRIDES": STRIDES},
        **{"DTYPE": DTYPE, "FLAGS": FLAGS, "TYPE": HEAD - 8, "ANY": ANY},
        **{"ORDER": BYTE_ORDER, "NUMBER": TYPE_NUMBER, "SWAPPED": _SWAPPED},
    }
    return dict(sorted(numbers.items(), key=lambda item: -len(item[0])))
