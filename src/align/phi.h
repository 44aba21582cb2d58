/* The falling functions of direction alignment (Eq. 141). */
#ifndef LGT_ALIGN_PHI_H
#define LGT_ALIGN_PHI_H

typedef struct lgt_phi {
    double value, pull; /* phi(u) and |phi'(u)| */
} lgt_phi;

/* 1 + u below which log goes on as its tangent: at u = -1 it has no value. */
#define LGT_PHI_LOG_LEAST 1e-6

lgt_phi lgt_phi_at(int kind, double tau, double u);

#endif
