"""The demo: everything in one process, over a bad link, with proof that nothing was sent twice.

It is the one place that joins the gateway and the agent, and nothing else imports it.
"""
