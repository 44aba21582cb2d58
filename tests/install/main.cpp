// The C interface from C++17: loss and gradient of a softmax head, known in advance.
#include <cmath>
#include <cstdio>
#include <vector>

#include <logitude/logitude.h>

struct objects {
    lgt_context *context = nullptr;
    lgt_head *head = nullptr;
    lgt_plan *plan = nullptr;
    ~objects() {
        lgt_plan_free(plan);
        lgt_head_free(head);
        lgt_context_free(context);
    }
};

int main() {
    objects o;
    lgt_loss loss;
    lgt_error err;
    lgt_plan_options options;
    lgt_plan_options_init(&options);
    options.max_rows = 1;
    if (lgt_loss_parse("softmax", &loss, &err) || lgt_context_create(nullptr, &o.context, &err) ||
        lgt_head_create(o.context, &loss, 1, 4, &o.head, &err) || lgt_plan_create(o.head, &options, &o.plan, &err)) {
        std::fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    const std::vector<float> x = {1}, w(4, 0.5F);
    const std::vector<int64_t> labels = {2};
    std::vector<float> dw(4);
    lgt_head_inputs in = {};
    lgt_head_outputs out = {};
    in.x = lgt_view_of(x.data(), 1, 1, LGT_F32);
    in.w = lgt_view_of(w.data(), 4, 1, LGT_F32);
    in.labels = labels.data();
    out.dw = lgt_mut_of(dw.data(), 4, 1, LGT_F32);
    if (lgt_plan_run(o.plan, &in, &out, &err)) return 1;
    std::printf("C++: loss %.6f, dw[2] = %g\n", out.loss, static_cast<double>(dw[2]));
    return std::fabs(out.loss - std::log(4.0)) < 1e-6 && std::fabs(dw[2] + 0.75F) < 1e-6F ? 0 : 1;
}
