/* Calls one kernel from two threads at once, each with a runner of threads of its own,
 * and writes what came out. The tests compile it with the header of conv2d_relu. */
#include "conv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 3, ROUNDS = 20 };

static float x[CONV2D_RELU_ELEMENTS_x], w[CONV2D_RELU_ELEMENTS_w];
static float b[CONV2D_RELU_ELEMENTS_b], z[2][CONV2D_RELU_ELEMENTS_z];

struct part {
    polydsl_body *body;
    void *context;
    int32_t number, count;
};

static void *run_part(void *argument) {
    struct part *part = argument;
    part->body(part->context, part->number, part->count);
    return NULL;
}

/* A runner of threads: one for each part. */
static void run(void *data, polydsl_body *body, void *context, int32_t parts) {
    pthread_t threads[PARTS];
    struct part work[PARTS];
    int32_t i;
    if (parts > PARTS)
        abort();
    *(int *)data += 1;
    for (i = 0; i < parts; i++) {
        work[i].body = body;
        work[i].context = context;
        work[i].number = i;
        work[i].count = parts;
        if (pthread_create(&threads[i], NULL, run_part, &work[i]))
            abort();
    }
    for (i = 0; i < parts; i++)
        pthread_join(threads[i], NULL);
}

static void *aligned(size_t size, void **block) {
    *block = malloc(size + 64);
    if (*block == NULL)
        abort();
    return (char *)*block + (64 - (size_t)*block % 64);
}

static void *caller(void *result) {
    void *block;
    int loops = 0, round;
    polydsl_call call = {0};
    call.scratch_bytes = conv2d_relu_scratch_bytes(PARTS);
    call.scratch = aligned(call.scratch_bytes, &block);
    call.threads = PARTS;
    call.parallel = run;
    call.data = &loops;
    for (round = 0; round < ROUNDS; round++) {
        polydsl_status status = conv2d_relu(x, w, b, result, &call);
        if (status != POLYDSL_OK) {
            fprintf(stderr, "%s\n", polydsl_status_text(status));
            abort();
        }
    }
    free(block);
    return NULL;
}

static void read_floats(const char *name, float *values, size_t count) {
    FILE *file = fopen(name, "rb");
    if (file == NULL || fread(values, sizeof *values, count, file) != count)
        abort();
    fclose(file);
}

int main(void) {
    conv2d_relu_sizes sizes = {
        .N = 2, .C = 4, .H = 9, .W = 8, .K = 24, .R = 3, .S = 3,
        .stride = 1, .padding = 1, .dilation = 1};
    pthread_t other;
    if (conv2d_relu_check(&sizes) != POLYDSL_OK)
        return 10;
    sizes.stride = 2;
    if (conv2d_relu_check(&sizes) != POLYDSL_SIZES)
        return 11;
    if (conv2d_relu(NULL, w, b, z[0], NULL) != POLYDSL_NULL_POINTER)
        return 12;
    read_floats("x.bin", x, CONV2D_RELU_ELEMENTS_x);
    read_floats("w.bin", w, CONV2D_RELU_ELEMENTS_w);
    read_floats("b.bin", b, CONV2D_RELU_ELEMENTS_b);
    if (pthread_create(&other, NULL, caller, z[1]))
        return 13;
    caller(z[0]);
    pthread_join(other, NULL);
    if (memcmp(z[0], z[1], sizeof z[0]))
        return 14;
    fwrite(z[0], sizeof *z[0], CONV2D_RELU_ELEMENTS_z, stdout);
    return 0;
}
