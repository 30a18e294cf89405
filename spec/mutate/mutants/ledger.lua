-- Mutants of the room ledger: none yet, of these files
return {}
