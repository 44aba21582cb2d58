/* Files of a training over ranks: the bytes of one alone, in pieces of any size, without room for what other ranks
 * have; and what becomes of all ranks when one of them, the disk or the network fails. */
#include "temporary.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>

#include "ranks.h"
#include "train/trainer.h"
#include "train_data.h"

/* 5 stripes of classes: of 7 ranks two have none. */
enum { N_CLASSES = 600, DIM = 6, N_ROWS = 700, BATCH = 50, STEPS = 3, MOST = 7, TINY = 72 };

typedef struct training {
    const char *loss, *encoder;
    lgt_optimizer optimizer;
    double sample_rate;
    const char *align;
} training;

static const training trainings[] = {
    {"arcface:s=8,m=0.2", "mlp:9", LGT_OPTIMIZER_ADAMW, 1, NULL},
    {"softmax", "none", LGT_OPTIMIZER_SGD, 0.3, NULL},
    {"subcenter:s=8,k=2", "linear", LGT_OPTIMIZER_ADAMW, 0.4, NULL},
    {"softmax", "mlp:7", LGT_OPTIMIZER_ADAMW, 1, "pga:k=3,targets=memory,neighbours=memory,capacity=40"},
    {"arcface", "none", LGT_OPTIMIZER_ADAMW, 1, NULL},
};

/* --- A rank's memory, measured and refused --- */

enum { HEADER = 64 };

typedef struct meter {
    int64_t blocks, bytes, peak, asked, fail_at; /* fail_at 0: never */
} meter;

static void *measured_allocate(void *user, size_t bytes) {
    meter *m = user;
    void *block = NULL;
    m->asked++;
    if (m->fail_at && m->asked >= m->fail_at) return NULL;
    if (posix_memalign(&block, HEADER, HEADER + bytes)) return NULL;
    memcpy(block, &bytes, sizeof bytes);
    m->blocks++, m->bytes += (int64_t)bytes;
    if (m->bytes > m->peak) m->peak = m->bytes;
    return (char *)block + HEADER;
}

static void measured_release(void *user, void *block) {
    meter *m = user;
    size_t bytes;
    memcpy(&bytes, (char *)block - HEADER, sizeof bytes);
    m->blocks--, m->bytes -= (int64_t)bytes;
    free((char *)block - HEADER);
}

/* --- A job: steps, then what is looked at --- */

typedef struct job {
    const training *training;
    const lgt_dataset *data;
    const char *checkpoint, *model; /* NULL: not written */
    int64_t piece;
    int loads;                /* reads the checkpoint instead of writing it */
    int64_t nan_at;           /* an entry of w that is no number; -1: none */
    int64_t fail_at, failing; /* an allocation while the files are made or read, and its rank */
    lgt_status steps[MOST], status[MOST];
    lgt_error err[MOST];
    int64_t extra[MOST], left[MOST]; /* bytes at most beyond what was held before, blocks behind */
    int64_t own[MOST];               /* bytes of what is cut by classes, the rank's part */
    const lgt_comm_group *group;
    int64_t sent[MOST];
} job;

static lgt_train_options options_of(const training *c, const lgt_comm *comm) {
    lgt_train_options o;
    lgt_error ignored;
    lgt_train_options_init(&o);
    lgt_loss_parse(c->loss, &o.loss, &ignored);
    if (c->align) lgt_align_parse(c->align, &o.align, &ignored);
    o.encoder = c->encoder;
    o.dim = DIM;
    o.optimizer = c->optimizer;
    o.sample_rate = c->sample_rate;
    o.batch = BATCH;
    o.epochs = 2;
    o.lr = 0.02;
    o.seed = 4;
    o.comm = comm;
    return o;
}

static lgt_status take_steps(lgt_trainer *t, lgt_error *err) {
    lgt_status status = LGT_OK;
    lgt_train_record record;
    for (int i = 0; i < STEPS && !status; i++) status = lgt_trainer_step(t, &record, err);
    t->seconds = 0; /* times are in the files */
    return status;
}

/* w, its moments and lengths; of a bias no more than this leaves out. */
static int64_t own_bytes(const lgt_trainer *t) {
    const lgt_param_group *w = &t->groups[LGT_GROUP_WEIGHT];
    return w->count * (int64_t)sizeof(float) * (1 + (w->momentum != NULL) + (w->square != NULL));
}

static void spoil(lgt_trainer *t, int64_t at) {
    int64_t of_class = lgt_loss_centres(&t->model.loss) * lgt_model_dim(&t->model),
            own = at - t->ranks.first * of_class;
    if (at >= 0 && own >= 0 && own < t->ranks.count * of_class) t->model.w[own] = NAN;
}

static lgt_status make_files(job *j, lgt_trainer *t, lgt_error *err) {
    lgt_checkpoint about = {.log_length = 7};
    lgt_status status = LGT_OK;
    if (j->checkpoint && j->loads) return lgt_trainer_load(t, j->checkpoint, &about, err);
    if (j->checkpoint) status = lgt_trainer_save(t, j->checkpoint, &about, err);
    if (!status && j->model) status = lgt_trainer_save_model(t, j->model, err);
    return status;
}

static void run(job *j, const lgt_comm *comm) {
    int rank = comm ? comm->rank : 0;
    lgt_error *err = &j->err[rank];
    lgt_trainer *t = NULL;
    meter m = {0};
    lgt_train_options o = options_of(j->training, comm);
    lgt_context *context = test_context_with((lgt_allocator){&m, measured_allocate, measured_release});
    lgt_status status = lgt_trainer_create(context, &o, j->data, &t, err);
    if (!status) status = take_steps(t, err);
    j->steps[rank] = j->status[rank] = status;
    if (!status) {
        int64_t before = m.bytes, blocks = m.blocks, sent = comm ? lgt_comm_group_sent(j->group, rank) : 0;
        if (j->piece) t->ranks.piece = j->piece;
        spoil(t, j->nan_at);
        m.peak = m.bytes;
        if (j->fail_at && rank == j->failing) m.fail_at = m.asked + j->fail_at;
        j->status[rank] = make_files(j, t, err);
        j->extra[rank] = m.peak - before;
        if (comm) lgt_model_drop_bank(&t->model, &t->whole); /* which stays until the next step */
        j->left[rank] = m.blocks - blocks;
        j->own[rank] = own_bytes(t);
        j->sent[rank] = comm ? lgt_comm_group_sent(j->group, rank) - sent : 0;
    }
    lgt_trainer_free(t);
    lgt_context_free(context);
}

static void run_rank(void *argument, const lgt_comm *comm) {
    run(argument, comm);
}

static void run_on(job *j, int size) {
    lgt_comm comms[MOST];
    lgt_comm_group *group = test_group(size, 30, comms);
    j->group = group;
    test_run_ranks(comms, size, run_rank, j);
    lgt_comm_group_free(group);
}

static void assert_all_ok(const job *j, int size) {
    for (int r = 0; r < size; r++) {
        assert_ok(j->status[r], j->err[r]);
        assert_int_equal(j->left[r], 0);
    }
}

static void assert_all_fail(const job *j, int size, lgt_status status, const char *part) {
    for (int r = 0; r < size; r++) {
        assert_fails(j->status[r], status, j->err[r], part);
        assert_int_equal(j->left[r], 0);
    }
}

static long read_file(const char *path, unsigned char **out) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    *out = malloc((size_t)size + 1);
    assert_non_null(*out);
    assert_int_equal(fread(*out, 1, (size_t)size, file), size);
    fclose(file);
    return size;
}

static int are_same(const char *a, const char *b) {
    unsigned char *x, *y;
    long n = read_file(a, &x), m = read_file(b, &y);
    int same = n == m && memcmp(x, y, (size_t)n) == 0;
    free(y);
    free(x);
    return same;
}

typedef struct bench {
    const training *training;
    lgt_dataset data;
    char checkpoint[TEST_PATH_ROOM], model[TEST_PATH_ROOM], other_checkpoint[TEST_PATH_ROOM],
        other_model[TEST_PATH_ROOM];
} bench;

/* With the files of one process alone. */
static void open_bench(bench *b, const training *c) {
    *b = (bench){.training = c, .data = test_clusters(N_ROWS, DIM, N_CLASSES, 2, 21)};
    strcpy(b->checkpoint, test_path("alone"));
    strcpy(b->model, test_path("alone.model"));
    strcpy(b->other_checkpoint, test_path("ranks"));
    strcpy(b->other_model, test_path("ranks.model"));
    job j = {.training = c, .data = &b->data, .checkpoint = b->checkpoint, .model = b->model, .nan_at = -1};
    run(&j, NULL);
    assert_all_ok(&j, 1);
}

static void close_bench(bench *b) {
    unlink(b->checkpoint), unlink(b->model), unlink(b->other_checkpoint), unlink(b->other_model);
    test_clusters_free(&b->data);
    assert_int_equal(test_count_files(test_folder), 0);
}

static job job_of(const bench *b, int64_t piece) {
    return (job){.training = b->training,
                 .data = &b->data,
                 .checkpoint = b->other_checkpoint,
                 .model = b->other_model,
                 .piece = piece,
                 .nan_at = -1};
}

/* --- What comes out --- */

static void any_number_of_ranks_writes_the_bytes_of_one(void **state) {
    static const int sizes[] = {2, 3, 4, 7};
    static const int64_t pieces[] = {TINY, 1608, 0}; /* 0: as it is */
    (void)state;
    for (size_t i = 0; i < sizeof trainings / sizeof *trainings; i++) {
        bench b;
        open_bench(&b, &trainings[i]);
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            int64_t piece = pieces[(i + k) % 3];
            job j = job_of(&b, piece);
            run_on(&j, sizes[k]);
            assert_all_ok(&j, sizes[k]);
            if (!are_same(b.checkpoint, b.other_checkpoint) || !are_same(b.model, b.other_model))
                fail_msg("%s: files of %d ranks, pieces of %d bytes, differ", trainings[i].loss, sizes[k], (int)piece);
        }
        close_bench(&b);
    }
}

/* Each sends its part once, to the first: 8 bytes a class of b for every 48 of w, momenta included, and 16 of lengths.
 * Beside it go a number for each of up to 25 tensors, and the sums of up to 16 stripes, of which every rank hears. */
static void a_rank_sends_its_part_once(void **state) {
    bench b;
    open_bench(&b, &trainings[1]);
    job j = job_of(&b, TINY);
    (void)state;
    j.model = NULL;
    run_on(&j, 4);
    assert_all_ok(&j, 4);
    for (int r = 0; r < 4; r++) {
        int64_t own = r > 0 ? j.own[r] / 2 * 3 : 0;
        assert_in_range(j.sent[r], own, own + 3 * (25 * 4 + 16 * 8));
    }
    close_bench(&b);
}

/* --- Memory --- */

/* 5 MiB of weights and moments. What a file takes beside its elements is lists of names and facts; reading has a buffer
 * of 256 KiB and one of 64 KiB. */
enum { MANY = 4096, WIDE = 100, LISTS = 64 << 10, BUFFERS = 5 << 16, PIECE = 8 << 10 };

static void no_rank_has_room_for_the_classes_of_others(void **state) {
    const char *checkpoint = test_path("large"), *model = test_path("large.model");
    lgt_dataset data = test_clusters(MANY, WIDE, MANY, 2, 21);
    (void)state;
    job j = {.training = &trainings[4],
             .data = &data,
             .checkpoint = checkpoint,
             .model = model,
             .piece = PIECE,
             .nan_at = -1};
    run_on(&j, 4);
    assert_all_ok(&j, 4);
    for (int r = 0; r < 4; r++) assert_in_range(j.extra[r], 0, LISTS + (r == 0 ? PIECE : 0));
    j.loads = 1;
    run_on(&j, 4);
    assert_all_ok(&j, 4);
    for (int r = 0; r < 4; r++) {
        int64_t lengths = MANY / 4 * 2 * (int64_t)sizeof(double);
        assert_in_range(j.extra[r], j.own[r], j.own[r] + lengths + LISTS + BUFFERS);
        assert_true(j.extra[r] < MANY * WIDE * 12 / 2);
    }
    unlink(checkpoint), unlink(model);
    test_clusters_free(&data);
}

/* --- Failures --- */

static void a_refused_allocation_of_any_rank_ends_all(void **state) {
    bench b;
    open_bench(&b, &trainings[0]);
    (void)state;
    for (int loads = 0; loads < 2; loads++)
        for (int rank = 0; rank < 3; rank += 2) {
            int64_t at = 1;
            for (int done = 0; !done; at++) {
                job j = job_of(&b, TINY);
                j.fail_at = at, j.failing = rank, j.loads = loads;
                if (loads) j.checkpoint = b.checkpoint;
                run_on(&j, 3);
                done = j.status[rank] == LGT_OK;
                if (done)
                    assert_all_ok(&j, 3);
                else if (loads) /* which each does by itself */
                    assert_int_equal(j.status[rank], LGT_ERR_MEMORY);
                else
                    assert_all_fail(&j, 3, LGT_ERR_MEMORY, rank ? "rank 2: " : "rank 0: ");
                for (int r = 0; r < 3; r++) assert_int_equal(j.left[r], 0);
            }
            assert_true(at > 40);
        }
    close_bench(&b);
}

static void a_full_disk_ends_all_ranks_in_order(void **state) {
    bench b;
    open_bench(&b, &trainings[0]);
    job j = job_of(&b, TINY);
    (void)state;
    j.checkpoint = "/dev/full";
    run_on(&j, 4);
    assert_all_fail(&j, 4, LGT_ERR_IO, "rank 0: /dev/full: cannot write: No space left");
    j.checkpoint = NULL, j.model = "/dev/full";
    run_on(&j, 4);
    assert_all_fail(&j, 4, LGT_ERR_IO, "rank 0: /dev/full: cannot write: No space left");
    close_bench(&b);
}

/* The disk is full after so many bytes: within the header, the first rank's part, pieces of others, at the end. */
static void a_disk_that_fills_up_leaves_the_file_before(void **state) {
    bench b;
    open_bench(&b, &trainings[0]);
    struct rlimit usual, limit;
    unsigned char *bytes;
    long size = read_file(b.checkpoint, &bytes);
    (void)state;
    free(bytes);
    test_put_text("ranks", "old");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &usual), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (long most = 100; most < size; most += size / 7) {
        job j = job_of(&b, TINY);
        limit = (struct rlimit){(rlim_t)most, usual.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        run_on(&j, 4);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &usual), 0);
        assert_all_fail(&j, 4, LGT_ERR_IO, "cannot write: File too large");
        assert_int_equal(read_file(b.other_checkpoint, &bytes), 3);
        free(bytes);
    }
    signal(SIGXFSZ, SIG_DFL);
    close_bench(&b);
}

static void a_number_that_is_none_is_named_by_its_place_in_all(void **state) {
    bench b;
    open_bench(&b, &trainings[0]);
    (void)state;
    for (int64_t at = 5; at < N_CLASSES * DIM; at += 600) {
        char part[64];
        job j = job_of(&b, TINY);
        j.checkpoint = NULL, j.nan_at = at;
        snprintf(part, sizeof part, "head.weight[%d] is nan", (int)at);
        run_on(&j, 3);
        assert_all_fail(&j, 3, LGT_ERR_NONFINITE, part);
    }
    close_bench(&b);
}

/* Call number `call` of rank 1 goes wrong. Returns whether the steps before went well; *failed: whether the files were
 * not made by all. */
static int run_with_fault(const bench *b, int64_t call, lgt_comm_fault fault, job *j, int *failed) {
    lgt_comm comms[3];
    lgt_error err;
    lgt_comm_group *group = test_group(3, 30, comms);
    *j = job_of(b, 2000);
    j->model = NULL;
    j->group = group;
    assert_ok(lgt_comm_group_inject(group, 1, call, fault, &err), err);
    test_run_ranks(comms, 3, run_rank, j);
    lgt_comm_group_free(group);
    *failed = j->status[1] != LGT_OK;
    return j->steps[1] == LGT_OK;
}

static void a_rank_that_is_lost_leaves_the_file_before_or_all_of_the_new_one(void **state) {
    bench b;
    open_bench(&b, &trainings[0]);
    int failed = 1, n_old = 0;
    (void)state;
    for (int64_t call = 1; failed; call++) {
        job j;
        test_put_text("ranks", "old");
        if (!run_with_fault(&b, call, LGT_COMM_FAULT_FAIL, &j, &failed)) continue;
        for (int r = 0; r < 3; r++) assert_int_equal(j.status[r], failed ? LGT_ERR_COMM : LGT_OK);
        for (int r = 0; r < 3; r++) assert_int_equal(j.left[r], 0);
        if (!are_same(b.checkpoint, b.other_checkpoint)) {
            unsigned char *bytes;
            assert_int_equal(read_file(b.other_checkpoint, &bytes), 3);
            free(bytes);
            n_old++;
        }
        assert_int_equal(test_count_files(test_folder), 3);
    }
    assert_in_range(n_old, 12, 100); /* the weights, moments and lengths of 2 ranks in pieces of 2,000 bytes */
    close_bench(&b);
}

/* The checksum is of what ranks have, not of what arrived; without an encoder all that travels is cut by classes. */
static void a_bit_that_the_network_turned_is_found_when_the_file_is_read(void **state) {
    bench b;
    open_bench(&b, &trainings[4]);
    int failed = 1, n_damaged = 0;
    (void)state;
    for (int64_t call = 1, first = 0; first == 0 || call < first + 25; call++) {
        job j;
        if (first == 0) { /* where the writing begins */
            if (run_with_fault(&b, call, LGT_COMM_FAULT_FAIL, &j, &failed)) first = call;
            continue;
        }
        run_with_fault(&b, call, LGT_COMM_FAULT_FLIP, &j, &failed);
        if (failed || are_same(b.checkpoint, b.other_checkpoint)) continue;
        job back = job_of(&b, 0);
        back.loads = 1;
        run(&back, NULL);
        assert_all_fail(&back, 1, LGT_ERR_DATA, "is damaged: its checksum");
        n_damaged++;
    }
    assert_true(n_damaged > 6);
    close_bench(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_ranks_writes_the_bytes_of_one),
        cmocka_unit_test(a_rank_sends_its_part_once),
        cmocka_unit_test(no_rank_has_room_for_the_classes_of_others),
        cmocka_unit_test(a_refused_allocation_of_any_rank_ends_all),
        cmocka_unit_test(a_full_disk_ends_all_ranks_in_order),
        cmocka_unit_test(a_disk_that_fills_up_leaves_the_file_before),
        cmocka_unit_test(a_number_that_is_none_is_named_by_its_place_in_all),
        cmocka_unit_test(a_rank_that_is_lost_leaves_the_file_before_or_all_of_the_new_one),
        cmocka_unit_test(a_bit_that_the_network_turned_is_found_when_the_file_is_read),
    };
    return cmocka_run_group_tests(tests, test_folder_begin, test_folder_end);
}
