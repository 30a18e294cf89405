typedef int lest_net_placeholder;
