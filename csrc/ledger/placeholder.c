typedef int lest_ledger_placeholder;
