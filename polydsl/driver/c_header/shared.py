"""What the headers of all kernels share: the status, the call, the runner of threads.

It stands in every header and counts once for a program, so that a caller writes one
runner of threads and one look at a status for all kernels.
"""

from __future__ import annotations

from polydsl.backend.ahead.status import Status
from polydsl.driver.c_header.comments import comment, wrapped

CALL_VERSION = 1
"""The layout of `polydsl_call` and the numbers of statuses; others are another one."""

# How long a line of a text is, behind the indentation.
_LITERAL = 60

_TEXT = """\
#ifndef POLYDSL_CALL
#define POLYDSL_CALL $VERSION

$STATUS
typedef enum polydsl_status {
$STATUSES
} polydsl_status;

$BODY
typedef void polydsl_body(void *context, int32_t part, int32_t parts);

$PARALLEL
typedef void polydsl_parallel(void *data, polydsl_body *body, void *context,
                              int32_t parts);

$CALL
typedef struct polydsl_call {
    void *scratch;
    size_t scratch_bytes;
    int32_t threads;
    polydsl_parallel *parallel;
    void *data;
    int64_t which;
    int64_t position;
    int64_t value;
} polydsl_call;

$MEANING
static inline const char *polydsl_status_text(polydsl_status status) {
    switch (status) {
$MEANINGS
    }
    return "this is no status of polydsl";
}

#elif POLYDSL_CALL != $VERSION
#error "the headers of two kernels come from two versions of polydsl"
#endif
"""

_COMMENTS = {
    "STATUS": (
        "What came of a call; polydsl_status_text says what each one means. `which`,",
        "`position` and `value` are those of the call.",
    ),
    "BODY": ("Part of the work of a loop. Each part is run once.",),
    "PARALLEL": (
        "A runner of threads, written by the caller. It calls body(context, i, parts)",
        "once for each i from 0 to parts - 1, in any order and by any threads at once,",
        "and returns when all have returned. `data` is that of the call. Results have",
        "the same bits for every number of threads.",
    ),
    "CALL": (
        "What belongs to one call. All zero is one thread without scratch. Calls that",
        "run at the same time need one each.",
        "",
        "scratch        memory that the call may overwrite, aligned to 64 bytes",
        "scratch_bytes  its size, at least what NAME_scratch_bytes(threads) returns",
        "threads        at most so many parts run at once; without a runner: 1",
        "parallel       the runner of threads, or NULL",
        "data           handed to the runner",
        "which, position, value",
        "               written where a status is about something",
    ),
    "MEANING": ("Returns what a status means, in English.",),
}


def shared_text() -> str:
    """Return what stands in every header and counts once."""
    members = (f"    POLYDSL_{status.name} = {int(status)}" for status in Status)
    text = _TEXT.replace("$STATUSES", ",\n".join(members))
    text = text.replace("$MEANINGS", "\n".join(map(_case, Status)))
    text = text.replace("$VERSION", str(CALL_VERSION))
    for name, lines in _COMMENTS.items():
        text = text.replace(f"${name}\n", comment(lines))
    return text


def _case(status: Status) -> str:
    """Return the case of a status, with its meaning over several lines."""
    *first, last = wrapped(status.meaning, _LITERAL)
    literals = [*(f"{line} " for line in first), last]
    quoted = "\n               ".join(f'"{literal}"' for literal in literals)
    return f"    case POLYDSL_{status.name}:\n        return {quoted};"
