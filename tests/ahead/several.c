/* Several kernels in one program: two of one definition for different sizes, one with
 * numbers and several results, one with bound weights. Exits with 0 if all is right. */
#include "large.h"
#include "layer.h"
#include "mixed.h"
#include "small.h"

#include <stdlib.h>
#include <string.h>

#define CHECK(number, condition)                                                      \
    do {                                                                              \
        if (!(condition))                                                             \
            return number;                                                            \
    } while (0)

static void *reserve(size_t size) {
    char *block = malloc(size + 128);
    return block == NULL ? NULL : block + (64 - (size_t)block % 64);
}

static int check_sums(void) {
    float few[3] = {1, 2, 3}, many[20], total = 0;
    int i;
    for (i = 0; i < 20; i++)
        many[i] = 2;
    CHECK(1, small(few, &total, NULL) == POLYDSL_OK && total == 6);
    CHECK(2, large(many, &total, NULL) == POLYDSL_OK && total == 40);
    return 0;
}

static int check_numbers(void) {
    int8_t x[4] = {-2, 0, 5, 127};
    int64_t y[4];
    uint8_t positive[4];
    double twice;
    int i;
    polydsl_status status;
    status = mixed(x, 1, -3, INT64_C(1) << 40, 200, 0.25, y, positive, &twice, NULL);
    CHECK(11, status == POLYDSL_OK && twice == 0.5);
    for (i = 0; i < 4; i++) {
        CHECK(12, y[i] == x[i] * -3 + (INT64_C(1) << 40) - 200);
        CHECK(13, positive[i] == (x[i] > 0));
    }
    CHECK(14, mixed(x, 0, -3, 1, 2, 0.25, y, positive, &twice, NULL) == POLYDSL_OK);
    CHECK(15, y[0] == -2 && y[3] == 127);
    return 0;
}

static int check_layer(void) {
    float x[6] = {1, 2, 3, 4, 5, 6}, w[6] = {1, 0, 0, 0, 1, 0}, b[2] = {1, 2}, z[4];
    polydsl_call call;
    size_t size = layer_prepared_bytes();
    void *prepared = reserve(size);
    memset(&call, 0, sizeof call);
    call.scratch_bytes = layer_scratch_bytes(1);
    call.scratch = reserve(call.scratch_bytes);
    memset(prepared, 0, size);
    CHECK(21, layer(x, b, 2, z, prepared, &call) == POLYDSL_PREPARED);
    CHECK(22, layer_prepare(w, prepared, size, &call) == POLYDSL_OK);
    memset(w, 0, sizeof w);
    CHECK(23, layer(x, b, 2, z, prepared, &call) == POLYDSL_OK);
    CHECK(24, z[0] == 3 && z[1] == 6 && z[2] == 9 && z[3] == 12);
    CHECK(25, layer(x, b, 2, x, prepared, &call) == POLYDSL_OVERLAP && call.which == 3);
    return 0;
}

int main(void) {
    int wrong = check_sums();
    if (!wrong)
        wrong = check_numbers();
    if (!wrong)
        wrong = check_layer();
    return wrong;
}
