typedef int lest_http_placeholder;
