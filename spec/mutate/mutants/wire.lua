-- Mutants of the room wire: none yet, of these files
return {}
