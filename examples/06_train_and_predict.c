/* A whole training on arrays of one's own: encoder and head, a model file, and predictions by what was read back.
 *
 *   06_train_and_predict [MODEL]      (default: model.safetensors) */
#include <stdio.h>
#include <stdlib.h>

#include <logitude/logitude.h>

enum { ROWS = 600, DIM = 8, CLASSES = 3, EMBEDDING = 4 };

static float x[ROWS * DIM], y[ROWS * EMBEDDING];
static int64_t labels[ROWS], top[ROWS];

/* Three clouds of points: the centres differ in one coordinate each. */
static void fill(void) {
    for (int i = 0; i < ROWS; i++) {
        labels[i] = i % CLASSES;
        for (int k = 0; k < DIM; k++) x[i * DIM + k] = (float)rand() / (float)RAND_MAX + (k == labels[i] ? 1.0f : 0.0f);
    }
}

static lgt_status train(lgt_context *context, const char *path, lgt_error *err) {
    char names[CLASSES][8] = {"red", "green", "blue"}, *label_names[CLASSES] = {names[0], names[1], names[2]};
    lgt_dataset data = {.n_rows = ROWS, .dim = DIM, .x = x, .labels = labels, .label_names = label_names};
    data.n_labels = CLASSES, data.n_dims = 1, data.shape[0] = DIM;
    lgt_trainer *trainer = NULL;
    lgt_train_record record = {0};
    lgt_train_options options;
    lgt_train_options_init(&options);
    options.encoder = "mlp:16";
    options.dim = EMBEDDING;
    options.epochs = 20;
    options.lr = 1e-2;
    lgt_status status = lgt_loss_parse("arcface:s=16,m=0.2", &options.loss, err);
    if (!status) status = lgt_trainer_create(context, &options, &data, &trainer, err);
    do {
        if (!status) status = lgt_trainer_step(trainer, &record, err);
    } while (!status && record.step < record.n_steps);
    if (!status) printf("%d steps, loss of the last epoch %.4f\n", (int)record.step, record.epoch_loss);
    if (!status) status = lgt_model_save(lgt_trainer_model(trainer), path, err);
    lgt_trainer_free(trainer);
    return status;
}

/* The likeliest class of every row: the plain head on the embeddings. */
static lgt_status predict(lgt_context *context, const char *path, double *accuracy, lgt_error *err) {
    lgt_model *model = NULL;
    lgt_head *head = NULL;
    lgt_mut embeddings = lgt_mut_of(y, ROWS, EMBEDDING, LGT_F32);
    lgt_status status = lgt_model_load(context, path, &model, err);
    if (status) return status;
    lgt_loss plain = lgt_loss_plain(lgt_model_loss(model));
    status = lgt_model_embed(model, lgt_view_of(x, ROWS, DIM, LGT_F32), embeddings, err);
    if (!status) status = lgt_head_create(context, &plain, EMBEDDING, CLASSES, &head, err);
    lgt_predictions out = {.k = 1, .classes = top};
    if (!status)
        status = lgt_head_predict(head, lgt_view_of(y, ROWS, EMBEDDING, LGT_F32), lgt_model_weights(model),
                                  lgt_model_bias(model), NULL, &out, err);
    int right = 0;
    for (int i = 0; i < ROWS; i++) right += top[i] == labels[i];
    *accuracy = (double)right / ROWS;
    lgt_head_free(head);
    lgt_model_free(model);
    return status;
}

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : "model.safetensors";
    double accuracy = 0;
    lgt_context *context = NULL;
    lgt_error err = {LGT_OK, ""};
    fill();
    lgt_status status = lgt_context_create(NULL, &context, &err);
    if (!status) status = train(context, path, &err);
    if (!status) status = predict(context, path, &accuracy, &err);
    lgt_context_free(context);
    if (status) fprintf(stderr, "%s\n", err.message);
    if (!status) printf("%.1f %% of the rows get their own class\n", 100 * accuracy);
    return status ? (int)status : accuracy > 0.9 ? 0 : LGT_ERR_CHECK;
}
