typedef int lest_pki_placeholder;
