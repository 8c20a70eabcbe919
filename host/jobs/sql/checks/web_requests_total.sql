-- Requests by which the daily figures and the facts differ.
SELECT abs(kpi.total - faits.total) AS part, faits.total AS whole
FROM (SELECT coalesce(sum(nb_requetes), 0) AS total FROM gold.kpi_web_jour) AS kpi
CROSS JOIN (SELECT coalesce(sum(nb_requetes), 0) AS total FROM gold.fact_evenement_web) AS faits
