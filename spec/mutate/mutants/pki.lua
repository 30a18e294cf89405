-- Mutants of the room pki: none yet, of these files
return {}
