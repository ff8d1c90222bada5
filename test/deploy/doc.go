// Package deploy checks what the project ships for deployment, docker-compose.yml, Dockerfile and the Kubernetes
// manifests, on a machine that has neither Docker nor a cluster: with the parsers of Compose, BuildKit and Kubernetes,
// by building the images' programs with the Dockerfile's own commands from what .dockerignore lets through, and by
// running them with the images' own settings.
//
// Every check returns what it found as lines for people, nothing if all is well.
package deploy
