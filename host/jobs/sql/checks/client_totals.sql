-- Cents by which the clients' totals and the orders of known clients differ; cancelled orders count in neither.
WITH commandes AS (
    SELECT coalesce(sum(commande.montant_total), 0) AS total
    FROM gold.fact_commande AS commande
    JOIN gold.kpi_client_360 AS client ON client.client_id = commande.client_id
    WHERE commande.statut IS DISTINCT FROM 'cancelled'
),
clients AS (
    SELECT coalesce(sum(montant_total), 0) AS total FROM gold.kpi_client_360
)
SELECT
    CAST(100 * abs(clients.total - commandes.total) AS BIGINT) AS part,
    CAST(100 * commandes.total AS BIGINT)                      AS whole
FROM clients CROSS JOIN commandes
