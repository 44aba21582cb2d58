/* Checkpoints: a training that goes on from one has the bits of one that never stopped; what is damaged, of another
 * training or half written is refused and says so. */
#include "temporary.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "data/output.h"
#include "train/trainer_state.h"
#include "train_data.h"

#define PGA "pga:k=3,targets=memory,beta=reliability,neighbours=memory,capacity=40"

/* What trainings differ in: everything that has a state of its own. */
typedef struct training {
    const char *loss, *encoder;
    lgt_optimizer optimizer;
    lgt_precision precision;
    double sample_rate;
    const char *align;
    int weighted;
} training;

static const training trainings[] = {
    {"softmax", "none", LGT_OPTIMIZER_SGD, LGT_PRECISION_FULL, 1, NULL, 0},
    {"softmax", "linear", LGT_OPTIMIZER_ADAMW, LGT_PRECISION_FULL, 1, NULL, 1},
    {"normalized:s=8", "none", LGT_OPTIMIZER_ADAMW, LGT_PRECISION_BF16, 1, NULL, 0},
    {"arcface:s=8,m=0.2", "mlp:7,5", LGT_OPTIMIZER_SGD, LGT_PRECISION_BF16, 1, NULL, 0},
    {"lsoftmax:m=2,lambda=geometric/100/0.9/1", "mlp:7", LGT_OPTIMIZER_ADAMW, LGT_PRECISION_FULL, 1, NULL, 0},
    {"curricularface:s=8,ema=0.3", "linear", LGT_OPTIMIZER_SGD, LGT_PRECISION_FULL, 1, NULL, 0},
    {"adaface:s=8,ema=0.3", "mlp:7", LGT_OPTIMIZER_ADAMW, LGT_PRECISION_FULL, 1, NULL, 0},
    {"subcenter:k=2", "linear", LGT_OPTIMIZER_SGD, LGT_PRECISION_FULL, 0.3, NULL, 0},
    {"cosface", "mlp:7", LGT_OPTIMIZER_ADAMW, LGT_PRECISION_BF16, 0.4, NULL, 0},
    {"softmax", "none", LGT_OPTIMIZER_ADAMW, LGT_PRECISION_FULL, 0.2, NULL, 1},
    {"arcface", "mlp:6", LGT_OPTIMIZER_ADAMW, LGT_PRECISION_FULL, 1, PGA, 0},
    {"softmax", "mlp:6,6", LGT_OPTIMIZER_SGD, LGT_PRECISION_FULL, 1, "k:toward=upper+z:layers=hidden", 0},
    {"adaface", "mlp:6,6", LGT_OPTIMIZER_SGD, LGT_PRECISION_FULL, 0.5, PGA "+k", 0},
};

enum { N_ROWS = 60, BATCH = 13, EPOCHS = 3, STEPS = 5 * EPOCHS };

static lgt_train_options options_of(const training *c, const double *weights) {
    lgt_train_options o = test_train_options(c->loss, c->encoder, 6);
    lgt_error err;
    o.optimizer = c->optimizer;
    o.precision = c->precision;
    o.sample_rate = c->sample_rate;
    o.batch = BATCH;
    o.epochs = EPOCHS;
    o.warmup = 3;
    o.lr = 0.01;
    o.seed = 5;
    if (c->align) assert_ok(lgt_align_parse(c->align, &o.align, &err), err);
    if (c->weighted) o.sample_weights = weights;
    return o;
}

typedef struct bench {
    lgt_dataset data;
    double weights[N_ROWS];
} bench;

static bench open_bench(void) {
    bench b = {.data = test_clusters(N_ROWS, 6, 9, 2, 21)};
    for (int i = 0; i < N_ROWS; i++) b.weights[i] = 0.5 + i % 4;
    return b;
}

static lgt_trainer *trainer_of(lgt_context *context, const training *c, bench *b) {
    lgt_train_options o = options_of(c, b->weights);
    return test_trainer(context, &o, &b->data);
}

static lgt_train_record walk(lgt_trainer *t, int n_steps) {
    lgt_train_record record = {0};
    lgt_error err;
    for (int i = 0; i < n_steps; i++) assert_ok(lgt_trainer_step(t, &record, &err), err);
    return record;
}

static int is_time(const char *name) {
    return strcmp(name, "record.seconds") == 0;
}

static void assert_same_banks(const lgt_trainer *a, const lgt_trainer *b) {
    char prefix[LGT_TENSOR_NAME_SIZE];
    for (int i = 0; i < LGT_MODEL_BANKS; i++) {
        lgt_bank_arrays x, y;
        lgt_error err;
        assert_ok(lgt_bank_arrays_take(a->context, lgt_model_bank_at(&a->model, i, prefix), &x, &err), err);
        assert_ok(lgt_bank_arrays_take(b->context, lgt_model_bank_at(&b->model, i, prefix), &y, &err), err);
        assert_int_equal(x.count, y.count);
        if (x.count > 0) {
            assert_memory_equal(x.ids, y.ids, (size_t)x.count * sizeof *x.ids);
            assert_memory_equal(x.labels, y.labels, (size_t)x.count * sizeof *x.labels);
            assert_memory_equal(x.scores, y.scores, (size_t)x.count * sizeof *x.scores);
        }
        if (x.directions) assert_memory_equal(x.directions, y.directions, (size_t)(x.count * x.dim) * sizeof(float));
        lgt_bank_arrays_free(b->context, &y);
        lgt_bank_arrays_free(a->context, &x);
    }
}

/* Every bit of state but the time. */
static void assert_same_state(lgt_trainer *a, lgt_trainer *b, const char *what, int stop) {
    lgt_state_part x[LGT_STATE_PARTS], y[LGT_STATE_PARTS];
    int n = lgt_trainer_parts(a, x);
    assert_int_equal(n, lgt_trainer_parts(b, y));
    for (int i = 0; i < n; i++) {
        assert_string_equal(x[i].name, y[i].name);
        assert_int_equal(x[i].count, y[i].count);
        if (!is_time(x[i].name) && memcmp(x[i].data, y[i].data, (size_t)x[i].count * lgt_dtype_size(x[i].dtype)) != 0)
            fail_msg("%s, stopped after step %d: %s differs", what, stop, x[i].name);
    }
    assert_same_banks(a, b);
}

static void assert_same_record(lgt_train_record a, lgt_train_record b) {
    const double reals_a[] = {a.loss,           a.align_loss, a.epoch_align_loss, a.epoch_loss,
                              a.epoch_accuracy, a.lr,         a.schedule};
    const double reals_b[] = {b.loss,           b.align_loss, b.epoch_align_loss, b.epoch_loss,
                              b.epoch_accuracy, b.lr,         b.schedule};
    const int64_t whole_a[] = {a.step, a.n_steps, a.epoch, a.end_of_epoch, a.samples, a.zero_rows};
    const int64_t whole_b[] = {b.step, b.n_steps, b.epoch, b.end_of_epoch, b.samples, b.zero_rows};
    assert_memory_equal(reals_a, reals_b, sizeof reals_a);
    assert_memory_equal(whole_a, whole_b, sizeof whole_a);
    assert_memory_equal(&a.conflict, &b.conflict, sizeof a.conflict);
}

static void a_resumed_training_has_the_bits_of_one_that_never_stopped(void **state) {
    static const int stops[] = {1, 4, 5, 8, STEPS - 1, STEPS};
    lgt_context *one = test_context(1), *three = test_context(3);
    bench b = open_bench();
    const char *path = test_path("resumed");
    (void)state;
    for (size_t i = 0; i < sizeof trainings / sizeof *trainings; i++) {
        const training *c = &trainings[i];
        lgt_trainer *whole = trainer_of(three, c, &b);
        lgt_train_record last = walk(whole, STEPS);
        for (size_t k = 0; k < sizeof stops / sizeof *stops; k++) {
            lgt_checkpoint about = {.log_length = 77, .notes = {3, 0.1}};
            lgt_error err;
            lgt_trainer *first = trainer_of(k % 2 ? three : one, c, &b),
                        *second = trainer_of(k % 2 ? one : three, c, &b);
            lgt_train_record stopped = walk(first, stops[k]);
            if (k % 3 == 0) walk(second, 2); /* what it has done before does not matter */
            assert_ok(lgt_trainer_save(first, path, &about, &err), err);
            about = (lgt_checkpoint){.log_length = 100};
            assert_ok(lgt_trainer_load(second, path, &about, &err), err);
            assert_int_equal(about.log_length, 77);
            assert_true(about.notes[0] == 3 && about.notes[1] == 0.1);
            assert_same_record(about.record, stopped);
            assert_same_state(first, second, c->loss, stops[k]);
            assert_true(lgt_trainer_gradient_norm(first) == lgt_trainer_gradient_norm(second));
            lgt_train_record end = stops[k] < STEPS ? walk(second, STEPS - stops[k]) : about.record;
            assert_same_record(end, last);
            assert_same_state(whole, second, c->loss, stops[k]);
            if (stops[k] < STEPS) walk(first, STEPS - stops[k]); /* nor does saving */
            assert_same_state(whole, first, c->loss, stops[k]);
            lgt_trainer_free(second);
            lgt_trainer_free(first);
        }
        lgt_trainer_free(whole);
    }
    unlink(path);
    test_clusters_free(&b.data);
    lgt_context_free(three);
    lgt_context_free(one);
}

/* --- Refusals --- */

typedef struct saved {
    lgt_context *context;
    bench b;
    training c;
    lgt_trainer *trainer;
    const char *path;
} saved;

/* In place: the trainer points to the data. */
static void open_saved(saved *s, int which, const char *name) {
    lgt_checkpoint about = {0};
    lgt_error err;
    *s = (saved){test_context(1), open_bench(), trainings[which], NULL, test_path(name)};
    s->trainer = trainer_of(s->context, &s->c, &s->b);
    walk(s->trainer, 4);
    assert_ok(lgt_trainer_save(s->trainer, s->path, &about, &err), err);
}

static void close_saved(saved *s) {
    unlink(s->path);
    lgt_trainer_free(s->trainer);
    test_clusters_free(&s->b.data);
    lgt_context_free(s->context);
}

static void other_trainings_are_refused_by_name(void **state) {
    saved s;
    const struct {
        const char *part;
        lgt_status status;
    } cases[] = {
        {"loss is", LGT_ERR_USAGE},        {"batch is '13'", LGT_ERR_USAGE},      {"lr is '0.01'", LGT_ERR_USAGE},
        {"seed is", LGT_ERR_USAGE},        {"optimizer is 'sgd'", LGT_ERR_USAGE}, {"epochs is '3'", LGT_ERR_USAGE},
        {"precision is", LGT_ERR_USAGE},   {"sample_weights is", LGT_ERR_USAGE},  {"l2 is '0'", LGT_ERR_USAGE},
        {"milestone.2 is", LGT_ERR_USAGE}, {"align is 'none'", LGT_ERR_USAGE}};
    (void)state;
    open_saved(&s, 0, "refused");
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        lgt_train_options o = options_of(&s.c, s.b.weights);
        lgt_checkpoint about = {0};
        lgt_error err;
        if (i == 0) assert_ok(lgt_loss_parse("cosface", &o.loss, &err), err);
        if (i == 1) o.batch = 12;
        if (i == 2) o.lr = 0.02;
        if (i == 3) o.seed = 6;
        if (i == 4) o.optimizer = LGT_OPTIMIZER_ADAMW;
        if (i == 5) o.epochs = 4;
        if (i == 6) o.precision = LGT_PRECISION_BF16;
        if (i == 7) o.sample_weights = s.b.weights;
        if (i == 8) o.l2 = 0.5;
        if (i == 9) o.milestones[1] = 0.8;
        if (i == 10) assert_ok(lgt_align_parse("pga", &o.align, &err), err);
        lgt_trainer *t = test_trainer(s.context, &o, &s.b.data);
        assert_fails(lgt_trainer_load(t, s.path, &about, &err), cases[i].status, err, cases[i].part);
        lgt_trainer_free(t);
    }
    close_saved(&s);
}

/* Where bits depend on it. */
static void another_workspace_is_refused_in_bf16_alone(void **state) {
    (void)state;
    for (int which = 1; which <= 2; which++) {
        saved s;
        lgt_error err;
        lgt_checkpoint about = {0};
        open_saved(&s, which, "workspace");
        lgt_train_options o = options_of(&s.c, s.b.weights);
        o.workspace = 1 << 20;
        lgt_trainer *t = test_trainer(s.context, &o, &s.b.data);
        lgt_status status = lgt_trainer_load(t, s.path, &about, &err);
        if (o.precision == LGT_PRECISION_FULL)
            assert_ok(status, err);
        else
            assert_fails(status, LGT_ERR_USAGE, err, "workspace is '67108864' in the checkpoint and '1048576' here");
        lgt_trainer_free(t);
        close_saved(&s);
    }
}

static void other_data_and_facts_are_refused_by_name(void **state) {
    saved s;
    lgt_error err;
    char key[] = "data.test", one[] = "one", two[] = "two", more[] = "more";
    const lgt_metadata facts[] = {{key, one}, {more, one}}, others[] = {{key, two}, {more, one}};
    lgt_checkpoint about = {.facts = facts, .n_facts = 2};
    (void)state;
    open_saved(&s, 0, "facts");
    s.b.data.fingerprint++;
    lgt_trainer *t = trainer_of(s.context, &s.c, &s.b);
    assert_fails(lgt_trainer_load(t, s.path, &about, &err), LGT_ERR_DATA, err, "data.fingerprint is");
    s.b.data.fingerprint--;
    assert_fails(lgt_trainer_load(t, s.path, &about, &err), LGT_ERR_DATA, err, "data.test is not there");
    assert_ok(lgt_trainer_save(s.trainer, s.path, &about, &err), err);
    assert_ok(lgt_trainer_load(t, s.path, &about, &err), err);
    about.facts = others;
    assert_fails(lgt_trainer_load(t, s.path, &about, &err), LGT_ERR_DATA, err, "data.test is 'one'");
    lgt_trainer_free(t);
    close_saved(&s);
}

static void another_instruction_set_is_refused_by_name(void **state) {
    saved s;
    lgt_context *generic = test_context_on(1, LGT_ISA_GENERIC);
    lgt_checkpoint about = {0};
    lgt_error err;
    (void)state;
    open_saved(&s, 0, "isa");
    lgt_trainer *t = trainer_of(generic, &s.c, &s.b);
    if (lgt_context_isa(s.context) != LGT_ISA_GENERIC)
        assert_fails(lgt_trainer_load(t, s.path, &about, &err), LGT_ERR_UNSUPPORTED, err, "isa is");
    lgt_trainer_free(t);
    lgt_context_free(generic);
    close_saved(&s);
}

static void what_has_no_checkpoint_says_so(void **state) {
    lgt_context *context = test_context(1);
    bench b = open_bench();
    lgt_train_options o = options_of(&trainings[0], b.weights);
    lgt_checkpoint about = {0};
    lgt_error err;
    (void)state;
    lgt_trainer *t = test_trainer(context, &o, &b.data);
    assert_fails(lgt_trainer_save(t, test_path("none"), &about, &err), LGT_ERR_USAGE, err, "before the first step");
    walk(t, 1);
    assert_fails(lgt_checkpoint_write(t, test_folder, 0, &about, &err), LGT_ERR_USAGE, err, "keep is 0");
    about.n_facts = -1;
    assert_fails(lgt_trainer_save(t, test_path("none"), &about, &err), LGT_ERR_USAGE, err, "-1 facts");
    about.n_facts = 0;
    lgt_trainer_free(t);
    o.optimizer = LGT_OPTIMIZER_LBFGS;
    t = test_trainer(context, &o, &b.data);
    assert_fails(lgt_trainer_save(t, test_path("none"), &about, &err), LGT_ERR_USAGE, err, "lbfgs has no checkpoints");
    assert_fails(lgt_trainer_load(t, test_path("none"), &about, &err), LGT_ERR_USAGE, err, "lbfgs has no checkpoints");
    lgt_trainer_free(t);
    test_clusters_free(&b.data);
    lgt_context_free(context);
}

/* --- Damage --- */

static long read_whole(const char *path, unsigned char **out) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    rewind(file);
    *out = malloc((size_t)size);
    assert_non_null(*out);
    assert_int_equal(fread(*out, 1, (size_t)size, file), size);
    fclose(file);
    return size;
}

static void write_whole(const char *path, const unsigned char *bytes, long size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, (size_t)size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* A bit of the header that changes no more than a blank may pass; what is loaded is then what was saved. */
static void damaged_files_are_refused(void **state) {
    saved s;
    unsigned char *bytes;
    long refused = 0, passed = 0;
    (void)state;
    open_saved(&s, 11, "damaged");
    long size = read_whole(s.path, &bytes);
    lgt_trainer *t = trainer_of(s.context, &s.c, &s.b);
    for (long at = 0; at < size; at += at < 9000 ? 3 : 41) {
        lgt_checkpoint about = {0};
        lgt_error err;
        bytes[at] ^= (unsigned char)(1 << at % 8);
        write_whole(s.path, bytes, size);
        bytes[at] ^= (unsigned char)(1 << at % 8);
        if (lgt_trainer_load(t, s.path, &about, &err) == LGT_OK)
            passed++, assert_same_state(s.trainer, t, "flipped", 4);
        else
            refused++;
    }
    assert_true(refused > 100 && passed < refused / 50);
    for (long length = 0; length < size; length += 1 + size / 97) {
        lgt_checkpoint about = {0};
        lgt_error err;
        write_whole(s.path, bytes, length);
        assert_fails(lgt_trainer_load(t, s.path, &about, &err), LGT_ERR_DATA, err, "damaged");
    }
    free(bytes);
    lgt_trainer_free(t);
    close_saved(&s);
}

static void a_model_is_no_checkpoint(void **state) {
    saved s;
    lgt_checkpoint about = {0};
    lgt_error err;
    (void)state;
    open_saved(&s, 0, "model");
    assert_ok(lgt_model_save(lgt_trainer_model(s.trainer), s.path, &err), err);
    assert_fails(lgt_trainer_load(s.trainer, s.path, &about, &err), LGT_ERR_DATA, err, "logitude-checkpoint-1");
    close_saved(&s);
}

/* --- Folders --- */

static void remember(void *user, const char *message) {
    snprintf(user, sizeof(lgt_error), "%s", message);
}

static int holds(int64_t step) {
    char name[64];
    struct stat info;
    snprintf(name, sizeof name, "checkpoint-%012lld.safetensors", (long long)step);
    return stat(test_path(name), &info) == 0;
}

static void a_folder_keeps_the_last_and_falls_back_to_the_one_before(void **state) {
    lgt_context *context = test_context(1);
    bench b = open_bench();
    lgt_trainer *t = trainer_of(context, &trainings[10], &b), *other = trainer_of(context, &trainings[10], &b);
    lgt_checkpoint about = {0};
    lgt_error err;
    char why[sizeof(lgt_error)] = "";
    int found = 1;
    (void)state;
    assert_ok(lgt_checkpoint_resume(other, test_folder, &about, remember, why, &found, &err), err);
    assert_false(found);
    for (int step = 1; step <= 5; step++) {
        walk(t, 1);
        about.log_length = 10 * step;
        assert_ok(lgt_checkpoint_write(t, test_folder, 2, &about, &err), err);
        assert_int_equal(test_count_files(test_folder), step < 2 ? step : 2);
    }
    assert_true(holds(4) && holds(5));
    about.log_length = 50;
    assert_ok(lgt_checkpoint_resume(other, test_folder, &about, remember, why, &found, &err), err);
    assert_true(found && about.record.step == 5 && why[0] == '\0');
    assert_same_state(t, other, "folder", 5);
    about.log_length = 49; /* that of step 5 was written to a longer log */
    assert_ok(lgt_checkpoint_resume(other, test_folder, &about, remember, why, &found, &err), err);
    assert_true(found && about.record.step == 4 && about.log_length == 40);
    assert_non_null(strstr(why, "belongs to a log of at least 50 bytes, found 49"));
    assert_ok(lgt_checkpoint_write(other, test_folder, 2, &about, &err), err);
    assert_true(holds(4) && !holds(5)); /* a step that was cut back */
    test_put_text("checkpoint-000000000009.safetensors", "torn");
    assert_ok(lgt_checkpoint_resume(other, test_folder, &about, remember, why, &found, &err), err);
    assert_true(found && about.record.step == 4);
    assert_non_null(strstr(why, "checkpoint-000000000009.safetensors: "));
    test_put_text("checkpoint-000000000004.safetensors", "");
    assert_fails(lgt_checkpoint_resume(other, test_folder, &about, NULL, NULL, &found, &err), LGT_ERR_DATA, err,
                 "none of its 2 checkpoints is whole; remove them to begin anew; the last one tried: ");
    assert_non_null(strstr(err.message, "checkpoint-000000000004.safetensors: "));
    assert_false(found);
    assert_ok(lgt_checkpoint_clear(context, test_folder, &err), err);
    assert_int_equal(test_count_files(test_folder), 0);
    assert_ok(lgt_checkpoint_clear(context, test_path("no/folder"), &err), err);
    lgt_trainer_free(other);
    lgt_trainer_free(t);
    test_clusters_free(&b.data);
    lgt_context_free(context);
}

static void names_that_are_no_checkpoints_are_left_alone(void **state) {
    static const char *const names[] = {"checkpoint-.safetensors",
                                        "checkpoint-1x.safetensors",
                                        "checkpoint-1",
                                        "checkpoint--1.safetensors",
                                        ".lgt-x-0.tmp",
                                        ".lgt-1-0.tm",
                                        "model.safetensors"};
    static const char *const gone[] = {".lgt-2147483647-0.tmp",
                                       ".lgt-1-0.tmp"}; /* of no process; of one that writes none */
    lgt_context *context = test_context(1);
    lgt_error err;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) test_put_text(names[i], "x");
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) test_put_text(gone[i], "x");
    assert_ok(lgt_checkpoint_clear(context, test_folder, &err), err);
    assert_int_equal(test_count_files(test_folder), sizeof names / sizeof *names);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(test_path(names[i]));
    lgt_context_free(context);
}

/* Opens an output, tells so, and dies over it. */
static void write_until_killed(const char *path, int told) {
    lgt_error err;
    lgt_context *context = NULL;
    lgt_output output;
    if (lgt_context_create(NULL, &context, &err) || lgt_output_open(context, path, &output, &err)) _exit(1);
    if (write(told, "x", 1) != 1) _exit(2);
    for (;;) pause();
}

static void what_is_being_written_stays_until_its_writer_is_dead(void **state) {
    lgt_context *context = test_context(1);
    const char *path = test_path("file");
    int told[2], result;
    siginfo_t about;
    char byte;
    lgt_error err;
    (void)state;
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) write_until_killed(path, told[1]);
    close(told[1]);
    assert_int_equal(read(told[0], &byte, 1), 1);
    assert_ok(lgt_checkpoint_clear(context, test_folder, &err), err);
    assert_int_equal(test_count_files(test_folder), 1);
    kill(child, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)child, &about, WEXITED | WNOWAIT), 0); /* dead, and not asked for */
    assert_ok(lgt_checkpoint_clear(context, test_folder, &err), err);
    assert_int_equal(test_count_files(test_folder), 0);
    assert_int_equal(waitpid(child, &result, 0), child);
    close(told[0]);
    lgt_context_free(context);
}

/* --- Memory --- */

static lgt_status save_and_load(lgt_trainer *t, const char *path, lgt_error *err) {
    char key[] = "more", value[] = "text";
    const lgt_metadata fact = {key, value};
    lgt_checkpoint about = {.facts = &fact, .n_facts = 1};
    lgt_status status = lgt_trainer_save(t, path, &about, err);
    return status ? status : lgt_trainer_load(t, path, &about, err);
}

static void every_allocation_may_fail(void **state) {
    bench b = open_bench();
    const char *path = test_path("memory");
    int64_t before = test_live_blocks(), used = 0;
    lgt_status status = LGT_ERR_MEMORY;
    lgt_context *counting = test_context_failing(0);
    lgt_trainer *t = trainer_of(counting, &trainings[12], &b);
    walk(t, 6);
    used = test_allocations(); /* whatever comes behind these is the checkpoint's */
    lgt_trainer_free(t);
    lgt_context_free(counting);
    (void)state;
    for (int64_t fail_at = used + 1; status; fail_at++) {
        lgt_error err;
        lgt_context *context = test_context_failing(fail_at);
        t = trainer_of(context, &trainings[12], &b);
        walk(t, 6);
        status = save_and_load(t, path, &err);
        if (status) assert_int_equal(status, LGT_ERR_MEMORY);
        assert_true(fail_at < used + 1000);
        lgt_trainer_free(t);
        lgt_context_free(context);
    }
    assert_int_equal(test_live_blocks(), before);
    unlink(path);
    test_clusters_free(&b.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_resumed_training_has_the_bits_of_one_that_never_stopped),
        cmocka_unit_test(other_trainings_are_refused_by_name),
        cmocka_unit_test(another_workspace_is_refused_in_bf16_alone),
        cmocka_unit_test(other_data_and_facts_are_refused_by_name),
        cmocka_unit_test(another_instruction_set_is_refused_by_name),
        cmocka_unit_test(what_has_no_checkpoint_says_so),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(a_model_is_no_checkpoint),
        cmocka_unit_test(a_folder_keeps_the_last_and_falls_back_to_the_one_before),
        cmocka_unit_test(names_that_are_no_checkpoints_are_left_alone),
        cmocka_unit_test(what_is_being_written_stays_until_its_writer_is_dead),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, test_folder_begin, test_folder_end);
}
