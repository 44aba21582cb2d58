/* The parts of the page, made from src/report/page and Chart.js when the library is built (cmake/LogitudeReport.cmake).
 */
#ifndef LGT_REPORT_PARTS_H
#define LGT_REPORT_PARTS_H

#include <stddef.h>

typedef struct lgt_page_part {
    const unsigned char *bytes;
    size_t length;
} lgt_page_part;

extern const lgt_page_part lgt_page_frame;  /* page.html, with {{places}} for the others */
extern const lgt_page_part lgt_page_style;  /* style.css */
extern const lgt_page_part lgt_page_chart;  /* Chart.js, and its licence */
extern const lgt_page_part lgt_page_script; /* the scripts of the page, in the order of their names */

#endif
