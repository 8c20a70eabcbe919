-- The CRM's clients. One that need not prove who they are, or of whom that is not known, is `non_requis`.
SELECT
    crm.client_id,
    crm.pays                        AS pays_id,
    crm.ville,
    crm.age,
    crm.segment_client,
    crm.statut,
    slug(crm.canal_acquisition)     AS canal_id,
    CASE
        WHEN crm.kyc_requis IS NOT TRUE THEN 'non_requis'
        WHEN crm.kyc_valide IS TRUE     THEN 'valide'
        ELSE 'non_valide'
    END                             AS kyc_statut,
    crm.newsletter_optin,
    crm.date_creation_crm,
    kpi.segment_rfm
FROM silver.crm
JOIN gold.kpi_client_360 AS kpi ON kpi.client_id = crm.client_id
ORDER BY crm.client_id
