#include "tui/setting.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>

static void setting_free(struct tui_setting *s)
{
    if (s->busy)
        return;
    tui_searches_close(&s->searches);
    tui_watch_close(&s->theme_file);
    free(s->theme_path);
    tui_start_free(&s->start);
    tui_options_free(&s->options);
    tui_config_free(&s->config);
    free(s);
}

int tui_setting_end(struct tui_setting *s, int code, struct error *e)
{
    struct error why;
    if (tui_record_close(s->record, &why) && !code) {
        *e = why;
        code = why.code;
    }
    setting_free(s);
    return code;
}

int tui_setting_theme(struct tui_setting *s, const char *name, struct error *e)
{
    char *path = NULL;
    int code = tui_theme_find(name, &path, e);
    if (!code)
        code = tui_theme_open(path, &s->theme, e);
    if (code) {
        free(path);
        return code;
    }
    tui_watch_close(&s->theme_file);
    free(s->theme_path);
    s->theme_path = path;
    tui_watch_open(&s->theme_file, path);
    return OK;
}

int tui_setting_read(const struct tui_options *o, struct tui_setting *s, struct error *e)
{
    *s = (struct tui_setting){.given = o, .theme_file = {.fd = -1}};
    char *session;
    int there;
    tui_options_copy(&s->options, o);
    int code = tui_config_open(&s->config, e);
    if (!code)
        code = tui_session_find(o, &session, &there, e);
    if (!code) {
        code = tui_config_apply(&s->config, &s->options, there, e);
        free(session);
    }
    s->ascii = s->options.ascii || strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    if (!code)
        code = tui_setting_theme(s, s->options.theme, e);
    return !code && s->options.record && !o->dump ? tui_record_open(&s->record, s->options.record, e) : code;
}

void tui_setting_tour(struct tui_setting *s)
{
    struct tui_options *o = &s->options;
    const char *task, *problem;
    struct error e;
    tui_first_search(o, &task, &problem);
    o->tour = o->paused = 1;
    if (o->word_count || o->session)
        return;
    o->words[0] = (char *)(!o->task || !strcmp(o->task, task) ? problem : "@1");
    o->word_count = 1;
    o->task = o->task ? o->task : task;
    const char *small = !strcmp(o->task, "math-word") ? "self-consistency,m=6" : !strcmp(o->task, "game24") ? "tot,b=3" : NULL;
    if (small && !o->strategy_count && !tui_model_is_shipped(o)) /* less than the task's own */
        tui_options_otherwise(o, "strategy", small, &e);
}

int tui_setting_choice(struct tui_setting *s, const struct tui_start *start, struct error *e)
{
    const struct tui_start_row *row = &start->rows[start->selected];
    struct tui_options *o = &s->options;
    tui_options_free(o);
    tui_options_copy(o, s->given);
    int code = tui_config_apply(&s->config, o, row->kind == TUI_START_SESSION, e);
    if (start->model >= 0 && row->kind != TUI_START_SESSION)
        o->model = start->rows[start->model].value;
    if (row->kind == TUI_START_SESSION) {
        o->session = row->value;
    } else if (row->kind == TUI_START_TASK) {
        o->task = row->value;
        o->words[0] = start->line.text.text;
        o->word_count = 1;
    } else {
        o->task = NULL;
        if (row->kind == TUI_START_TOUR)
            tui_setting_tour(s);
    }
    return code;
}
