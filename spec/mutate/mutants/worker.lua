-- Mutants of the room worker: none yet, of these files
return {}
