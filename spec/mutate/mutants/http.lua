-- Mutants of the room http: none yet, of these files
return {}
