-- Every assigned country of ISO 3166-1, with its usual French name.
SELECT code AS pays_id, nom, zone, ue
FROM reference.pays
ORDER BY code
