"""What the package knows of the C interface: structs, enums, constants and functions, spelled as the headers spell them.

Everything in ctypes is made from these four texts (_library.py). tools/check_python_abi.py turns the same texts into a C
program that compiles against the headers only where they agree in every type, offset and value. A line that begins with
blanks continues the one before."""

STRUCTS = """
lgt_view: const void *data; int64_t rows, cols, ld; lgt_dtype dtype
lgt_mut: void *data; int64_t rows, cols, ld; lgt_dtype dtype
lgt_error: lgt_status status; char message[508]
lgt_allocator: void *user; void *(*allocate)(void *user, size_t bytes); void (*release)(void *user, void *block)
lgt_context_options: size_t struct_size; int threads; lgt_isa max_isa; lgt_allocator allocator
lgt_param_info: const char *key; lgt_param_kind kind; const char *default_text; double low, high; const char *const
    *words; const char *help; lgt_param_role role
lgt_loss_info: const char *name; const char *title; const char *equation; const char *citation; lgt_space space; int
    has_bias; const lgt_param_info *params; int n_params
lgt_schedule: lgt_schedule_kind kind; double a, b, c, d
lgt_loss: const lgt_loss_info *info; double values[LGT_LOSS_MAX_PARAMS]; lgt_schedule schedule
lgt_loss_preset: const char *system, *loss; const char *settings; const char *difference
lgt_pair: double c, sine, theta, r, q, quality
lgt_bend: double value; double d_theta, d_r, d_q; double d_theta_theta, d_theta_r, d_theta_q, d_r_r, d_r_q; double
    penalty, penalty_r, penalty_r_r
lgt_plan_options: size_t struct_size; lgt_engine engine; lgt_dtype dtype; int64_t max_rows; lgt_reduction reduction;
    double label_smoothing; double z_loss; int64_t ignore_label; int loss_only; int second_order; lgt_precision
    precision; int64_t workspace; int64_t max_classes; int sinks; const lgt_comm *comm; lgt_reduce reduce
lgt_head_inputs: lgt_view x; lgt_view w; lgt_view b; const int64_t *labels; const double *sample_weights; const double
    *class_weights; const double *upstream; int64_t step; lgt_view soft_targets; const double *class_margins; const
    double *class_scales; const double *qualities; const double *state; int frozen; const int64_t *classes; int64_t
    n_listed; const double *offsets
lgt_row_sink: void (*take)(void *user, int64_t row, const void *gradient); void *user
lgt_head_outputs: lgt_mut dx; lgt_mut dw; lgt_mut db; lgt_row_sink sink; int accumulate; double *loss_rows; double
    *lse; int64_t *top1; double loss; double weight; int64_t n_used; int64_t n_correct; int64_t n_zero_rows; int64_t
    n_zero_classes; double state[LGT_LOSS_MAX_STATE]
lgt_direction: lgt_view x, w, b
lgt_hvp: lgt_mut x, w, b; int accumulate
lgt_predictions: int64_t k; int64_t *classes; double *logits; double *lse; double *label_logits
lgt_gradcheck: int64_t n_problems; double dx, dw, db; double hvp; double engine_dx, engine_dw, engine_db, engine_hvp;
    double tolerance, engine_tolerance; double engine_hvp_tolerance; int passed
lgt_lint_jump: double theta, size
lgt_lint_kink: double theta, before, after
lgt_lint_rise: double from, to, rise
lgt_lint_dead: double at, from, to, force
lgt_lint_crowd_jump: double theta, cosine, size
lgt_lint: double scale; lgt_lint_jump jumps[LGT_LINT_MOST]; lgt_lint_kink kinks[LGT_LINT_MOST]; lgt_lint_rise
    rises[LGT_LINT_MOST]; lgt_lint_dead dead[LGT_LINT_MOST]; lgt_lint_crowd_jump crowd_jumps[2]; int n_jumps, n_kinks,
    n_rises, n_dead, n_crowd_jumps; double largest_force, largest_theta; int n_defects
lgt_lint_curve: double *theta, *logit, *force, *plain_logit, *plain_force
lgt_schedule_review: double first, last; double arrives; double start_force, end_force; double start_logit; double
    dead_starts; double dead_share; double fastest, fastest_factor; int warnings
lgt_scale_review: double scale; double most_probability, least_loss; double needed; double needed_with_margin; double
    suggested; double satisfied; int too_small, too_large
lgt_spectrum_options: size_t struct_size; int64_t top, bottom; int64_t max_products; double tolerance; uint64_t seed
lgt_spectrum: double *values; double *residuals; double *vectors; int64_t n_found; int64_t n_products; int converged
lgt_derivatives: double first; double second; double rayleigh; double length
lgt_explain_options: size_t struct_size; lgt_dtype dtype; double label_smoothing, z_loss; int64_t ignore_label; const
    int64_t *rows; int64_t n_rows; int64_t n_pushers
lgt_explanation: double *loss; double *p; double *theta; double *alpha; double *x_norm, *w_norm; double *attraction,
    *repulsion; double *attraction_share; double *penalty; double *gradient; double *tangential, *radial; double
    *radial_share; double *sensitivity; double *bound, *tight_bound; double *detached_angle; double *detached_ratio;
    int64_t *nearest; double *nearest_theta; int64_t *pushers; double *pusher_shares; double *attraction_x,
    *repulsion_x; double state[LGT_LOSS_MAX_STATE]
lgt_align_info: const char *name, *title, *equation; lgt_align_kind kind; const lgt_param_info *params; int n_params
lgt_align: const lgt_align_info *info; double values[LGT_ALIGN_MAX_PARAMS]
lgt_align_terms: lgt_align terms[LGT_ALIGN_MAX_TERMS]; int n_terms
lgt_conflict_row: double inner, cosine; double largest, smallest; double head, pull; int64_t n_neighbours,
    n_undefined; int compared; int sufficient; int exact; int printed
lgt_conflict: int64_t n_rows, n_compared; int64_t n_neighbours, n_undefined; int64_t n_conflicts; int64_t
    n_sufficient, n_sufficient_wrong, n_printed, n_printed_wrong; double cosine_sum; int64_t
    histogram[LGT_CONFLICT_BINS]
lgt_align_inputs: lgt_view x; const int64_t *labels; const int64_t *ids; lgt_align_bank *bank; int frozen; lgt_view
    below; lgt_view head
lgt_align_outputs: lgt_mut dx; int accumulate; lgt_conflict_row *rows; double loss; int64_t n_edges; int64_t
    n_aligned; int64_t n_zero_rows; lgt_conflict conflict
lgt_align_layers_inputs: const lgt_view *x; const int64_t *labels; const int64_t *ids; lgt_align_bank *const *banks;
    double *smoothed; int frozen
lgt_align_layers_outputs: lgt_mut *dx; int accumulate; double loss; int64_t n_edges
lgt_classification: int64_t n_rows; double accuracy; double nll; double ece
lgt_verification: int64_t n_genuine, n_impostor; double auc; double eer; double tar_at_far[2]
lgt_retrieval: int64_t n_queries, n_lone; double recall_at_1; double recall_at_5; double map_at_r
lgt_angles: double *target, *nearest; int64_t *nearest_class; double *x_norm, *w_norm
lgt_calibration: int64_t rows[LGT_CALIBRATION_BINS]; double confidence[LGT_CALIBRATION_BINS],
    accuracy[LGT_CALIBRATION_BINS]
lgt_confusion: int64_t label, predicted, rows
lgt_array: lgt_dtype dtype; int n_dims; int64_t shape[LGT_MAX_DIMS]; int64_t count; void *data
lgt_tensor: char *name; lgt_array array
lgt_metadata: char *key, *value
lgt_tensors: lgt_tensor *tensors; int64_t n_tensors; lgt_metadata *metadata; int64_t n_metadata
lgt_dataset_options: size_t struct_size; const char *spec; lgt_split split; const char *fashion_mnist; const char
    *label_column; int labels_required; int64_t least_dim
lgt_dataset: int64_t n_rows, dim; float *x; int64_t *labels; char **label_names; int64_t n_labels; int n_dims; int64_t
    shape[LGT_MAX_DIMS]; uint64_t fingerprint
lgt_train_options: size_t struct_size; lgt_loss loss; const char *encoder; int64_t dim; int64_t epochs, batch;
    lgt_optimizer optimizer; double lr; double momentum; double beta1, beta2, eps; double weight_decay; double l2;
    lgt_lr_schedule schedule; int64_t warmup; double step_factor; double milestones[LGT_MAX_MILESTONES]; int
    n_milestones; lgt_standardize standardize; int bias; uint64_t seed; double label_smoothing, z_loss;
    lgt_align_terms align; lgt_precision precision; int64_t workspace; double sample_rate; int sample_correction; double
    tolerance; int64_t max_iterations; const double *sample_weights; lgt_view start_w, start_b; const lgt_comm *comm;
    lgt_reduce reduce
lgt_train_record: int64_t step; int64_t n_steps; int64_t epoch; int end_of_epoch; double loss; double align_loss,
    epoch_align_loss; lgt_conflict conflict; double epoch_loss, epoch_accuracy; double lr; double schedule; double
    seconds; int64_t samples; int64_t zero_rows
lgt_row_step: lgt_optimizer optimizer; double lr, weight_decay; double momentum; double beta1, beta2, eps; int64_t
    number; float *w; float *first, *second
lgt_solve_record: int64_t iterations, max_iterations; int64_t evaluations; int64_t products; double objective; double
    gradient_norm, gradient_max; double goal; double seconds; int converged, stopped; double model_objective,
    model_train_loss, model_gradient_norm; int64_t n_correct; double certified_gap; int64_t certificate_evaluations
"""

ENUMS = """
lgt_dtype: LGT_F32 = 0, LGT_F64 = 1, LGT_F16 = 2, LGT_U8 = 3, LGT_I32 = 4, LGT_I64 = 5
lgt_status: LGT_OK = 0, LGT_ERR_INTERNAL = 1, LGT_ERR_USAGE = 2, LGT_ERR_DATA = 3, LGT_ERR_NONFINITE = 4, LGT_ERR_IO =
    5, LGT_ERR_MEMORY = 6, LGT_ERR_CHECK = 7, LGT_ERR_UNSUPPORTED = 8, LGT_ERR_INTERRUPTED = 9,
    LGT_ERR_COMM = 10
lgt_isa: LGT_ISA_GENERIC = 0, LGT_ISA_AVX2 = 1, LGT_ISA_AVX512 = 2, LGT_ISA_AVX512BF16 = 3,
    LGT_ISA_AMX = 4, LGT_ISA_BEST = 1000
lgt_space: LGT_SPACE_DOT = 0, LGT_SPACE_COS = 1, LGT_SPACE_COSW = 2
lgt_param_kind: LGT_PARAM_REAL = 0, LGT_PARAM_INTEGER = 1, LGT_PARAM_ANGLE = 2, LGT_PARAM_CHOICE = 3,
    LGT_PARAM_SCHEDULE = 4, LGT_PARAM_WARMUP = 5
lgt_param_role: LGT_ROLE_FIXED = 0, LGT_ROLE_SCALE = 1, LGT_ROLE_MARGIN = 2, LGT_ROLE_STATE = 3
lgt_schedule_kind: LGT_SCHEDULE_CONSTANT = 0, LGT_SCHEDULE_GEOMETRIC = 1, LGT_SCHEDULE_POWER = 2, LGT_SCHEDULE_LINEAR
    = 3, LGT_SCHEDULE_EXPONENTIAL = 4
lgt_engine: LGT_ENGINE_CPU = 0, LGT_ENGINE_REFERENCE = 1
lgt_reduction: LGT_REDUCTION_MEAN = 0, LGT_REDUCTION_SUM = 1, LGT_REDUCTION_NONE = 2
lgt_precision: LGT_PRECISION_FULL = 0, LGT_PRECISION_BF16X3 = 1, LGT_PRECISION_BF16 = 2
lgt_reduce: LGT_REDUCE_EXACT = 0, LGT_REDUCE_FAST = 1
enum: LGT_SCHEDULE_DEAD = 1, LGT_SCHEDULE_FAST = 2, LGT_SCHEDULE_LATE = 4, LGT_SCHEDULE_WEAK = 8
enum: LGT_BY_FEATURES = 1, LGT_BY_WEIGHTS = 2
lgt_tensors_format: LGT_TENSORS_ARRAY = 0, LGT_TENSORS_SAFETENSORS = 1, LGT_TENSORS_NPZ = 2, LGT_TENSORS_LIBLINEAR = 3,
    LGT_TENSORS_LIBSVM = 4, LGT_TENSORS_CSV = 5
lgt_split: LGT_SPLIT_TRAIN = 0, LGT_SPLIT_TEST = 1
lgt_align_kind: LGT_ALIGN_PGA = 0, LGT_ALIGN_K = 1, LGT_ALIGN_Z = 2
lgt_optimizer: LGT_OPTIMIZER_SGD = 0, LGT_OPTIMIZER_ADAMW = 1, LGT_OPTIMIZER_LBFGS = 2, LGT_OPTIMIZER_NEWTON_CG = 3
lgt_standardize: LGT_STANDARDIZE_NONE = 0, LGT_STANDARDIZE_GLOBAL = 1, LGT_STANDARDIZE_FEATURE = 2
lgt_lr_schedule: LGT_LR_CONSTANT = 0, LGT_LR_COSINE = 1, LGT_LR_STEP = 2
"""

CONSTANTS = """
LGT_VERSION_MAJOR=0 LGT_VERSION_MINOR=1 LGT_VERSION_PATCH=0 LGT_LOSS_MAX_PARAMS=12 LGT_LOSS_MAX_STATE=2
LGT_LOSS_SPEC_SIZE=384 LGT_LINT_MOST=128 LGT_ALIGN_MAX_PARAMS=20 LGT_ALIGN_MAX_TERMS=3 LGT_ALIGN_SPEC_SIZE=640
LGT_CONFLICT_BINS=20 LGT_FAR_LEVELS=2 LGT_CALIBRATION_BINS=15 LGT_MAX_DIMS=8 LGT_MAX_MILESTONES=8
"""

FUNCTIONS = """
const char *lgt_version(void)
void lgt_context_options_init(lgt_context_options *options)
lgt_status lgt_context_create(const lgt_context_options *options, lgt_context **out, lgt_error *err)
void lgt_context_free(lgt_context *context)
int lgt_context_threads(const lgt_context *context)
lgt_isa lgt_context_isa(const lgt_context *context)
const char *lgt_isa_name(lgt_isa isa)
int lgt_loss_count(void)
const lgt_loss_info *lgt_loss_at(int index)
lgt_status lgt_loss_parse(const char *spec, lgt_loss *out, lgt_error *err)
int lgt_loss_preset_count(void)
const lgt_loss_preset *lgt_loss_preset_at(int index)
lgt_status lgt_loss_parse_like(const char *spec, const char *system, lgt_loss *out, lgt_error *err)
size_t lgt_loss_format(const lgt_loss *loss, char *out, size_t size)
int lgt_loss_param_of(const lgt_loss_info *info, lgt_param_role role)
int lgt_loss_n_state(const lgt_loss_info *info)
int64_t lgt_loss_centres(const lgt_loss *loss)
lgt_loss lgt_loss_plain(const lgt_loss *loss)
void lgt_loss_bend(const lgt_loss *loss, const lgt_pair *pair, int64_t step, lgt_bend *out)
lgt_status lgt_head_create(lgt_context *context, const lgt_loss *loss, int64_t dim, int64_t n_classes, lgt_head **out,
    lgt_error *err)
void lgt_head_free(lgt_head *head)
void lgt_plan_options_init(lgt_plan_options *options)
lgt_status lgt_plan_create(const lgt_head *head, const lgt_plan_options *options, lgt_plan **out, lgt_error *err)
void lgt_plan_free(lgt_plan *plan)
int64_t lgt_plan_bytes(const lgt_plan *plan)
lgt_status lgt_plan_run(lgt_plan *plan, const lgt_head_inputs *in, lgt_head_outputs *out, lgt_error *err)
lgt_status lgt_plan_hvp(lgt_plan *plan, const lgt_head_inputs *in, const lgt_direction *along, lgt_hvp *out, lgt_error
    *err)
lgt_status lgt_head_predict(const lgt_head *head, lgt_view x, lgt_view w, lgt_view b, const int64_t *labels,
    lgt_predictions *out, lgt_error *err)
lgt_status lgt_gradcheck_run(lgt_context *context, const lgt_loss *loss, lgt_engine engine, lgt_dtype dtype,
    int64_t n_problems, uint64_t seed, lgt_gradcheck *out, lgt_error *err)
double lgt_lint_norm(const lgt_loss *loss)
lgt_status lgt_lint_run(const lgt_loss *loss, int64_t step, double r, double q, lgt_lint *out, lgt_error *err)
lgt_status lgt_lint_draw(const lgt_loss *loss, int64_t step, double r, double q, int64_t n, const lgt_lint_curve *out,
    lgt_error *err)
int lgt_schedule_is_lambda(const lgt_loss *loss)
int lgt_schedule_is_factor(const lgt_loss *loss)
lgt_status lgt_schedule_review_run(const lgt_loss *loss, int64_t n_steps, int64_t dim, double target,
    lgt_schedule_review *out, lgt_error *err)
lgt_status lgt_schedule_propose(const lgt_loss *loss, int64_t n_steps, double target, lgt_loss out[2], int *count,
    lgt_error *err)
lgt_status lgt_scale_review_run(const lgt_loss *loss, int64_t step, int64_t n_classes, double probability,
    lgt_scale_review *out, lgt_error *err)
lgt_status lgt_spectral_norm(lgt_context *context, lgt_view w, int centred, int directions, double *norm, double
    *upper, lgt_error *err)
void lgt_softmax(const double *z, int64_t n, double *p)
void lgt_softmax_product(const double *p, const double *v, int64_t n, double *out)
double lgt_softmax_variance(const double *p, const double *v, int64_t n)
lgt_status lgt_softmax_spectrum(lgt_context *context, const double *p, int64_t n, double *values, double *vectors,
    lgt_error *err)
int64_t lgt_curvature_size(const lgt_head_inputs *in, int by)
void lgt_spectrum_options_init(lgt_spectrum_options *options)
lgt_status lgt_plan_spectrum(lgt_context *context, lgt_plan *plan, const lgt_head_inputs *in, int by, const
    lgt_spectrum_options *options, lgt_spectrum *out, lgt_error *err)
lgt_status lgt_plan_derivatives(lgt_context *context, lgt_plan *plan, const lgt_head_inputs *in, int by, const double
    *v, lgt_derivatives *out, lgt_error *err)
void lgt_explain_options_init(lgt_explain_options *options)
lgt_status lgt_explain_run(const lgt_head *head, const lgt_explain_options *options, const lgt_head_inputs *in,
    lgt_explanation *out, lgt_error *err)
int lgt_align_count(void)
const lgt_align_info *lgt_align_at(int index)
lgt_status lgt_align_parse(const char *spec, lgt_align_terms *out, lgt_error *err)
size_t lgt_align_format(const lgt_align_terms *terms, char *out, size_t size)
const lgt_align *lgt_align_of(const lgt_align_terms *terms, lgt_align_kind kind)
lgt_status lgt_align_bank_create(lgt_context *context, int64_t dim, int64_t capacity, lgt_align_bank **out, lgt_error
    *err)
void lgt_align_bank_free(lgt_align_bank *bank)
int64_t lgt_align_bank_dim(const lgt_align_bank *bank)
int64_t lgt_align_bank_count(const lgt_align_bank *bank)
void lgt_align_bank_export(const lgt_align_bank *bank, int64_t *ids, int64_t *labels, double *scores, float
    *directions)
lgt_status lgt_align_bank_import(lgt_align_bank *bank, int64_t count, const int64_t *ids, const int64_t *labels, const
    double *scores, const float *directions, lgt_error *err)
lgt_status lgt_align_plan_create(lgt_context *context, const lgt_align *term, int64_t dim, int64_t max_rows,
    lgt_align_plan **out, lgt_error *err)
void lgt_align_plan_free(lgt_align_plan *plan)
lgt_status lgt_align_run(lgt_align_plan *plan, const lgt_align_inputs *in, lgt_align_outputs *out, lgt_error *err)
lgt_status lgt_align_layers_create(lgt_context *context, const lgt_align *term, int n_layers, const int64_t *dims,
    int64_t max_rows, lgt_align_layers **out, lgt_error *err)
void lgt_align_layers_free(lgt_align_layers *layers)
lgt_status lgt_align_layers_run(lgt_align_layers *layers, const lgt_align_layers_inputs *in, lgt_align_layers_outputs
    *out, lgt_error *err)
lgt_status lgt_eval_classification(int64_t n_rows, const int64_t *labels, int64_t k, const int64_t *classes, const
    double *logits, const double *lse, const double *label_logits, lgt_classification *out, lgt_error *err)
lgt_status lgt_eval_verification(lgt_context *context, lgt_view embeddings, const int64_t *labels, lgt_verification
    *out, lgt_error *err)
lgt_status lgt_eval_retrieval(lgt_context *context, lgt_view embeddings, const int64_t *labels, lgt_retrieval *out,
    lgt_error *err)
lgt_status lgt_eval_angles(lgt_context *context, lgt_view x, lgt_view w, const int64_t *labels, int64_t n_classes,
    int64_t centres, const lgt_angles *out, lgt_error *err)
lgt_status lgt_eval_roc(lgt_context *context, lgt_view embeddings, const int64_t *labels, int n, const double *far,
    double *tar, lgt_error *err)
lgt_status lgt_eval_calibration(int64_t n_rows, const int64_t *labels, int64_t k, const int64_t *classes, const double
    *logits, const double *lse, lgt_calibration *out, lgt_error *err)
lgt_status lgt_eval_confusions(lgt_context *context, int64_t n_rows, const int64_t *labels, int64_t k, const int64_t
    *classes, int64_t most, lgt_confusion *out, int64_t *count, lgt_error *err)
lgt_status lgt_eval_map(lgt_context *context, lgt_view embeddings, int directions, lgt_mut out, double shares[2],
    lgt_error *err)
lgt_status lgt_array_read(lgt_context *context, const char *path, lgt_array *out, lgt_error *err)
void lgt_array_free(lgt_context *context, lgt_array *array)
lgt_status lgt_npy_write(lgt_context *context, const char *path, lgt_dtype dtype, int n_dims, const int64_t *shape,
    const void *data, lgt_error *err)
lgt_status lgt_tensors_read(lgt_context *context, const char *path, lgt_tensors *out, lgt_error *err)
lgt_status lgt_tensors_write(lgt_context *context, const char *path, const lgt_tensors *tensors, lgt_error *err)
lgt_status lgt_npz_read(lgt_context *context, const char *path, lgt_tensors *out, lgt_error *err)
lgt_status lgt_npz_write(lgt_context *context, const char *path, const lgt_tensors *tensors, lgt_error *err)
lgt_status lgt_liblinear_read(lgt_context *context, const char *path, lgt_tensors *out, lgt_error *err)
lgt_status lgt_liblinear_write(lgt_context *context, const char *path, const char *solver_type, const lgt_array
    *weight, const lgt_array *bias, const lgt_array *labels, lgt_error *err)
lgt_status lgt_tensors_read_any(lgt_context *context, const char *path, lgt_tensors *out, lgt_tensors_format *format,
    lgt_error *err)
void lgt_tensors_free(lgt_context *context, lgt_tensors *tensors)
void lgt_dataset_options_init(lgt_dataset_options *options)
lgt_status lgt_dataset_load(lgt_context *context, const lgt_dataset_options *options, lgt_dataset **out, lgt_error
    *err)
void lgt_dataset_free(lgt_context *context, lgt_dataset *dataset)
lgt_status lgt_model_save(const lgt_model *model, const char *path, lgt_error *err)
lgt_status lgt_model_export_onnx(const lgt_model *model, const char *path, lgt_error *err)
lgt_status lgt_model_load(lgt_context *context, const char *path, lgt_model **out, lgt_error *err)
void lgt_model_free(lgt_model *model)
int64_t lgt_model_in_dim(const lgt_model *model)
int64_t lgt_model_dim(const lgt_model *model)
int64_t lgt_model_n_classes(const lgt_model *model)
int64_t lgt_model_step(const lgt_model *model)
int64_t lgt_model_n_params(const lgt_model *model)
const char *lgt_model_encoder_spec(const lgt_model *model)
const lgt_loss *lgt_model_loss(const lgt_model *model)
const lgt_align_terms *lgt_model_align(const lgt_model *model)
char *const *lgt_model_label_names(const lgt_model *model)
lgt_view lgt_model_weights(const lgt_model *model)
lgt_view lgt_model_bias(const lgt_model *model)
lgt_status lgt_model_embed(lgt_model *model, lgt_view x, lgt_mut out, lgt_error *err)
void lgt_train_options_init(lgt_train_options *options)
lgt_status lgt_plan_step(lgt_plan *plan, const lgt_head_inputs *in, const lgt_row_step *step, lgt_head_outputs *out,
    lgt_error *err)
lgt_status lgt_sample_classes(lgt_context *context, uint64_t seed, int64_t step, int64_t n_classes, const int64_t
    *labels, int64_t n_labels, double rate, int64_t *classes, double *offsets, int64_t *n_listed, lgt_error *err)
int64_t lgt_sample_classes_most(int64_t n_classes, int64_t n_labels, double rate)
lgt_status lgt_trainer_create(lgt_context *context, const lgt_train_options *options, const lgt_dataset *dataset,
    lgt_trainer **out, lgt_error *err)
void lgt_trainer_free(lgt_trainer *trainer)
lgt_status lgt_trainer_step(lgt_trainer *trainer, lgt_train_record *record, lgt_error *err)
lgt_status lgt_trainer_solve(lgt_trainer *trainer, lgt_solve_watch watch, void *user, lgt_solve_record *record,
    lgt_error *err)
double lgt_trainer_gradient_norm(lgt_trainer *trainer)
lgt_status lgt_trainer_objective(lgt_trainer *trainer, lgt_pass_watch watch, void *user, double *train_loss,
    double *objective, lgt_error *err)
lgt_model *lgt_trainer_model(lgt_trainer *trainer)
"""
