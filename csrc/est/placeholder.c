typedef int lest_est_placeholder;
