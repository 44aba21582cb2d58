/* Settings of other systems: every row reads, keys that are given win, and what there is not is explained. */
#include "support.h"

#include <string.h>

#include "base/text.h"
#include "logitude/loss.h"

static lgt_loss like(const char *spec, const char *system) {
    lgt_loss loss;
    lgt_error err;
    lgt_status status = lgt_loss_parse_like(spec, system, &loss, &err);
    if (status) print_error("%s like %s: ", spec, system);
    assert_ok(status, err);
    assert_string_equal(err.message, "");
    return loss;
}

static int same(const lgt_loss *a, const lgt_loss *b) {
    return a->info == b->info && memcmp(a->values, b->values, sizeof a->values) == 0 &&
           a->schedule.kind == b->schedule.kind && memcmp(&a->schedule.a, &b->schedule.a, 4 * sizeof(double)) == 0;
}

static void every_row_reads_as_what_it_says(void **state) {
    (void)state;
    assert_null(lgt_loss_preset_at(-1));
    assert_null(lgt_loss_preset_at(lgt_loss_preset_count()));
    for (int i = 0; i < lgt_loss_preset_count(); i++) {
        const lgt_loss_preset *preset = lgt_loss_preset_at(i);
        char spec[256];
        lgt_loss loss = like(preset->loss, preset->system);
        lgt_text_format(spec, sizeof spec, "%s:%s", preset->loss, preset->settings);
        lgt_loss written = test_loss_of(spec);
        assert_true(same(&loss, &written));
        lgt_loss_format(&loss, spec, sizeof spec);
        lgt_loss back = test_loss_of(spec);
        assert_true(same(&loss, &back));
        for (int j = 0; j < i; j++) {
            const lgt_loss_preset *other = lgt_loss_preset_at(j);
            assert_false(strcmp(other->system, preset->system) == 0 && strcmp(other->loss, preset->loss) == 0);
        }
    }
}

/* A preset that changes nothing says so; every difference is a text of whole sentences. */
static void every_row_differs_from_the_defaults_or_says_that_it_does_not(void **state) {
    int unchanged = 0;
    (void)state;
    for (int i = 0; i < lgt_loss_preset_count(); i++) {
        const lgt_loss_preset *preset = lgt_loss_preset_at(i);
        lgt_loss loss = like(preset->loss, preset->system), bare = test_loss_of(preset->loss);
        int says_so = strstr(preset->difference, "has the defaults of this library") != NULL;
        if (same(&loss, &bare) != says_so) fail_msg("%s like %s", preset->loss, preset->system);
        unchanged += says_so;
        size_t length = strlen(preset->difference);
        assert_true(length > 40 && preset->difference[length - 1] == '.' && !strstr(preset->difference, "  "));
    }
    assert_int_equal(unchanged, 3);
}

static void systems_have_the_losses_that_they_have(void **state) {
    static const char *const known[][2] = {{"insightface", "arcface cosface subcenter"},
                                           {"opensphere", "normalized cosface arcface sphereface-r"},
                                           {"pml", "normalized cosface arcface lsoftmax sphereface subcenter"},
                                           {"paddle", "arcface combined"},
                                           {"mx-lsoftmax", "lsoftmax"},
                                           {"caffe", "lsoftmax sphereface"},
                                           {"wespeaker", "cosface arcface sphereface subcenter"}};
    int at = 0;
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char losses[128] = "";
        size_t used = 0;
        for (; at < lgt_loss_preset_count() && strcmp(lgt_loss_preset_at(at)->system, known[i][0]) == 0; at++)
            used += lgt_text_format(losses + used, sizeof losses - used, "%s%s", used ? " " : "",
                                    lgt_loss_preset_at(at)->loss);
        assert_string_equal(losses, known[i][1]);
    }
    assert_int_equal(at, lgt_loss_preset_count());
}

/* The facts that users come for, one by one. */
static void settings_are_those_of_the_systems(void **state) {
    static const char *const known[][3] = {
        {"insightface", "arcface", "arcface:s=64,m=0.5,tail=none,gradient=detached"},
        {"insightface", "cosface", "cosface:s=64,m=0.4"},
        {"opensphere", "arcface", "arcface:s=64,m=0.5,tail=clip,clamp=0.00001,gradient=detached"},
        {"opensphere", "sphereface-r", "sphereface-r:s=30,m=1.7,clamp=0.00001,gradient=detached"},
        {"pml", "arcface", "arcface:s=64,m=28.6deg,tail=cosface"},
        {"pml", "normalized", "normalized:s=20"},
        {"paddle", "combined", "combined:s=64,m1=1,m2=0.5,m3=0,tail=none"},
        {"mx-lsoftmax", "lsoftmax", "lsoftmax:m=4,lambda=geometric/100/0.99/0"},
        {"caffe", "lsoftmax", "lsoftmax:m=4,lambda=power/1000/2.5e-5/35/0"},
        {"caffe", "sphereface", "sphereface:m=4,lambda=power/1000/0.12/1/5,gradient=unit"},
        {"wespeaker", "arcface", "arcface:s=32,m=0.2,tail=continuous"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        lgt_loss found = like(known[i][1], known[i][0]), wanted = test_loss_of(known[i][2]);
        if (!same(&found, &wanted)) fail_msg("%s like %s is not %s", known[i][1], known[i][0], known[i][2]);
    }
}

/* Any one key given as it is by default: it is the default then, and all others stay those of the system. */
static void keys_that_are_given_win_and_the_others_stay(void **state) {
    int won = 0;
    (void)state;
    for (int i = 0; i < lgt_loss_preset_count(); i++) {
        const lgt_loss_preset *preset = lgt_loss_preset_at(i);
        lgt_loss system = like(preset->loss, preset->system), bare = test_loss_of(preset->loss);
        for (int p = 0; p < system.info->n_params; p++) {
            const lgt_param_info *param = &system.info->params[p];
            char spec[160];
            lgt_text_format(spec, sizeof spec, "%s:%s=%s", preset->loss, param->key, param->default_text);
            lgt_loss found = like(spec, preset->system), wanted = system;
            wanted.values[p] = bare.values[p];
            if (param->kind == LGT_PARAM_SCHEDULE) wanted.schedule = bare.schedule;
            assert_true(same(&found, &wanted));
            won += !same(&found, &system);
        }
    }
    assert_true(won > 20);
}

/* ---- what there is not ---- */

static void refuse(const char *spec, const char *system, const char *message) {
    lgt_loss loss, before;
    lgt_error err;
    memset(&loss, 0x5a, sizeof loss);
    memset(&before, 0x5a, sizeof before);
    assert_int_equal(lgt_loss_parse_like(spec, system, &loss, &err), LGT_ERR_USAGE);
    assert_string_equal(err.message, message);
    assert_memory_equal(&loss, &before, sizeof loss);
    assert_int_equal(lgt_loss_parse_like(spec, system, &loss, NULL), LGT_ERR_USAGE);
}

static void what_a_system_does_not_have_is_told_with_what_it_has(void **state) {
    (void)state;
    refuse("lsoftmax", "insightface", "insightface has no settings for lsoftmax, only for arcface, cosface, subcenter");
    refuse("softmax", "mx-lsoftmax", "mx-lsoftmax has no settings for softmax, only for lsoftmax");
    refuse("arcface:m=0.2", "caffe", "caffe has no settings for arcface, only for lsoftmax, sphereface");
    refuse("adaface", "pml",
           "pml has no settings for adaface, only for normalized, cosface, arcface, lsoftmax, sphereface, subcenter");
}

static void unknown_systems_losses_and_keys_name_the_nearest(void **state) {
    (void)state;
    refuse("arcface", "insigthface", "there is no system \"insigthface\" to be like; the nearest is \"insightface\"");
    refuse("arcface", "we-speaker", "there is no system \"we-speaker\" to be like; the nearest is \"wespeaker\"");
    refuse("arcface", "", "there is no system \"\" to be like; the nearest is \"pml\"");
    refuse("arcfcae", "pml", "there is no loss \"arcfcae\"; the nearest is \"arcface\"");
    refuse("arc", "pml", "there is no loss \"arc\"; the nearest is \"arcface\"");
    refuse("arcface:tial=none", "pml", "arcface has no parameter \"tial\"; the nearest is \"tail\"");
    refuse("arcface:s=1,s=2", "pml", "arcface: s is given twice");
    refuse("arcface:s=0", "pml", "arcface: s is \"0\", expected a number from 1e-06 to 1000000");
}

static void a_very_long_system_is_cut_in_the_message(void **state) {
    char system[3000];
    lgt_loss loss;
    lgt_error err;
    (void)state;
    memset(system, 'a', sizeof system);
    system[sizeof system - 1] = '\0';
    assert_fails(lgt_loss_parse_like("arcface", system, &loss, &err), LGT_ERR_USAGE, err, "the nearest is");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_reads_as_what_it_says),
        cmocka_unit_test(every_row_differs_from_the_defaults_or_says_that_it_does_not),
        cmocka_unit_test(systems_have_the_losses_that_they_have),
        cmocka_unit_test(settings_are_those_of_the_systems),
        cmocka_unit_test(keys_that_are_given_win_and_the_others_stay),
        cmocka_unit_test(what_a_system_does_not_have_is_told_with_what_it_has),
        cmocka_unit_test(unknown_systems_losses_and_keys_name_the_nearest),
        cmocka_unit_test(a_very_long_system_is_cut_in_the_message),
    };
    return cmocka_run_group_tests_name("presets", tests, NULL, NULL);
}
