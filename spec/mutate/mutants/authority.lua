-- Mutants of the room authority: none yet, of these files
return {}
