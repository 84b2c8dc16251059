"""Chains of statements in the forms of others: RO-Crate, PROV, BagIt. What they say is for reading; what is proven stays in the evidence beside it."""
