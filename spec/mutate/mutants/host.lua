-- Mutants of the room host: none yet, of these files
return {}
