"""What single experts do: specialisation, co-activation, paired captures, saturation."""
