"""Microkernel providers: how each emits its calls, finds its library, makes kernels.

`polydsl.base.providers` says what a provider serves and costs. Here one file a provider
implements it; `table` lists them and `foreign` is what they share.
"""
